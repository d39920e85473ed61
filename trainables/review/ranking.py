"""Ranking of photos by how little they belong in their family.

Two steps, on the pooled features of a pretrained backbone:

1. How much worse does its family explain a photo than the whole set does? The squared Mahalanobis distance to the
   family's mean, less that to the set's mean (Ren et al., "A Simple Fix to Mahalanobis Distance for Improving Near-OOD
   Detection", 2021). Each photo is judged by the means and covariances of the folds in which it is not. Without the
   second distance, plain pictures such as text and maps pass as ordinary: they are near everything.
2. Irrelevant photos come in kinds (people, labels, maps, tools) that are scattered over the families, and an odd photo
   of the right animal stands among photos that are in place. So a photo's score is the mean of these differences over
   itself and its most similar photos, each counted by its likeness (cosine, its own is 1): one that is like no other
   keeps its own.

tests/benchmarks/bench_review.py measures this.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageUnreadable, decode_resized
from trainables.device import prepare_tensorflow, usable_cores
from trainables.errors import UserError
from trainables.network.backbones import Weights, build_backbone, calibrate_batch_norm, scale_pixels
from trainables.review.kept import KeptFeatures

BACKBONE = "inception_v3"
_BATCH = 32
_KEPT_AT_ONCE = 128  # photos
_CALIBRATION = 64  # photos
NEIGHBOURS = 20
_FOLDS = 5
_DIMENSIONS = 128
_PHOTOS_PER_DIMENSION = 4  # fewer photos do not tell a covariance of so many dimensions
_PRIOR = 3  # photos: a family's mean leans on the set's as if that many of its photos lay there
_BLOCK = 1024

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


def pooled_features(
    root: Path,
    sources: Sequence[str],
    image_size: int,
    weights: Weights,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
    kept: KeptFeatures | None = None,
) -> Floats:
    """Outputs of the backbone's last layer for photos root/source, averaged over the picture: float32 [n, 2048], >= 0.

    A photo is resized to a square of `image_size` pixels; `progress` gets how many photos are done after each batch.
    `kept` holds the rows of an earlier call that was stopped, and gets those of this one.

    Raises:
        UserError: the weights do not fit, the size is too small, or a photo no longer decodes.
    """
    tf = prepare_tensorflow()
    base = build_backbone(BACKBONE, image_size, weights, seed)
    if weights.kind == "random":
        some = sources[:: max(1, len(sources) // _CALIBRATION)][:_CALIBRATION]
        chosen = np.concatenate(list(_batches(root, some, image_size)))
        calibrate_batch_norm(base, scale_pixels(BACKBONE, chosen), seed)

    @tf.function(reduce_retracing=True)
    def pooled(pixels: Any) -> Any:
        return tf.reduce_mean(base(scale_pixels(BACKBONE, pixels), training=False), axis=(1, 2))

    width = base.output_shape[-1]
    rows = np.empty((len(sources), width), dtype=np.float32) if kept is None else kept.rows(width)
    done = saved = 0 if kept is None else kept.done
    for pixels in _batches(root, sources[done:], image_size):
        rows[done : done + len(pixels)] = pooled(pixels).numpy()
        done += len(pixels)
        if kept is not None and (done - saved >= _KEPT_AT_ONCE or done == len(sources)):
            kept.keep(rows, done)
            saved = done
        progress(done)
    return rows


def _batches(root: Path, sources: Sequence[str], size: int) -> Iterator[Pixels]:
    """Decoded photos, uint8 [batch, size, size, 3]; the next batch is decoded while the caller works on this one."""

    def decoded(source: str) -> Pixels:
        try:
            return decode_resized((root / source).read_bytes(), size)
        except (OSError, ImageUnreadable) as error:
            raise UserError(f"{root / source} changed while it was reviewed: {error}; run again") from None

    with ThreadPoolExecutor(usable_cores()) as pool:
        # Not one map over all photos: that would decode the whole set ahead of the backbone, into memory.
        ahead: list[Any] = []
        for start in range(0, len(sources) + _BATCH, _BATCH):
            coming = [pool.submit(decoded, source) for source in sources[start : start + _BATCH]]
            if ahead:
                yield np.stack([one.result() for one in ahead])
            ahead = coming


class Ranking(NamedTuple):
    """Scores and neighbours of n photos.

    `score` float32 [n]: how far out of place, in standard deviations above the average photo of the set; `neighbours`
    int64 [n, k]: the k (at most `NEIGHBOURS`) most similar photos, most similar first, none of the photo's own group.
    """

    score: Floats
    neighbours: Ints

    def order(self) -> Ints:
        """Positions of the photos, the least in place first."""
        return np.argsort(-self.score, kind="stable")


def rank_photos(features: Floats, families: Sequence[str], groups: Sequence[str], seed: int = 0) -> Ranking:
    """Rank n photos by their features, float32 [n, d], none negative (as behind a ReLU).

    Photos of one group (copies, bursts) are never judged by each other: three photos of one person would make her look
    at home in the family.
    """
    from sklearn.decomposition import PCA

    labels = np.unique(np.asarray(families), return_inverse=True)[1]
    together = np.unique(np.asarray(groups), return_inverse=True)[1]
    # Directions in the strongest dimensions, with strong ones damped; the square root tames single loud channels.
    rooted = _directions(np.sqrt(np.maximum(features, 0)))
    dimensions = min(_DIMENSIONS, -(-len(rooted) // _PHOTOS_PER_DIMENSION), rooted.shape[1])
    with np.errstate(invalid="ignore"):  # Photos that are all alike have no variance to divide by.
        pca = PCA(dimensions, svd_solver="randomized", random_state=0).fit(rooted)
    damping = np.sqrt(np.sqrt(np.maximum(pca.explained_variance_, 1e-12)))
    points = _directions(pca.transform(rooted) / damping)
    doubt = _relative_distance(points, labels, together, seed)
    neighbours, likeness = _neighbours(points, together)
    mean = (doubt + (likeness * doubt[neighbours]).sum(axis=1)) / (1 + likeness.sum(axis=1))
    score = (mean - mean.mean()) / max(float(mean.std()), 1e-12)
    return Ranking(np.asarray(score, dtype=np.float32), neighbours)


def _directions(rows: npt.NDArray[np.floating]) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), dtype=np.float32)


def _neighbours(points: Floats, together: Ints) -> tuple[Ints, Floats]:
    """Positions int64 [n, k] and likeness float32 [n, k], 0..1, of the most similar photos of other groups."""
    count = min(NEIGHBOURS, len(points) - int(np.bincount(together).max()))
    found = np.empty((len(points), count), dtype=np.int64)
    likeness = np.empty((len(points), count), dtype=np.float32)
    # In blocks of rows: 12,000 photos would need 576 MB at once.
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosine = points[block] @ points.T
        cosine[together[block, None] == together] = -np.inf
        found[block] = np.argsort(-cosine, axis=1, kind="stable")[:, :count]
        likeness[block] = np.maximum(np.take_along_axis(cosine, found[block], axis=1), 0)
    return found, likeness


def _relative_distance(points: Floats, labels: Ints, together: Ints, seed: int) -> Floats:
    """Squared Mahalanobis distance to the own family's mean, less that to the set's mean; float32 [n]."""
    from sklearn.covariance import LedoitWolf

    # Groups are dealt to folds family by family, so that each fold gets its share of each family.
    first = np.unique(together, return_index=True)[1]
    shuffled = np.random.default_rng(seed).permutation(len(first))
    dealt = shuffled[np.argsort(labels[first[shuffled]], kind="stable")]
    fold_of_group = np.empty(len(first), dtype=np.int64)
    fold_of_group[dealt] = np.arange(len(first)) % _FOLDS
    folds, families = fold_of_group[together], int(labels.max()) + 1
    relative = np.zeros(len(points), dtype=np.float32)
    for fold in np.unique(folds):
        judged, known = folds == fold, folds != fold
        if known.sum() < 2:
            continue  # All photos but one are one group: there is nothing to judge them by.
        from_set = points - points[known].mean(axis=0)
        sums = np.zeros((families, points.shape[1]), dtype=np.float32)
        np.add.at(sums, labels[known], from_set[known])
        means = sums / (np.bincount(labels[known], minlength=families)[:, None] + _PRIOR)
        from_family = from_set - means.astype(np.float32)[labels]
        to_family, to_set = (
            LedoitWolf(assume_centered=True).fit(far[known]).mahalanobis(far[judged]) for far in (from_family, from_set)
        )
        relative[judged] = to_family - to_set
    return relative
