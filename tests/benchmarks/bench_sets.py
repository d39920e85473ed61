"""How the guarantee of a probe holds over ten splits of the real photos: sets, reliability, unknown photos.

    python -m tests.benchmarks.bench_sets DATASET --data ../shared/data --weights InceptionV3_notop.weights.h5

DATASET is what `prepare` made of DATA/rare_families with families of at least 20 photos. The pooled outputs of mixed8
to mixed10 at 299 px, float32, are computed once (three minutes of two idle cores) and kept in `--keep`: for all its
photos, for the 120 photos of DATA/planted_irrelevant, and for those of the families that are too small for it. The
photos are split anew for each seed, as `prepare` does; a logistic regression (balanced, C 0.056, as the probe chooses
it) is fitted on train, its guarantee on validation, and it is fitted again on train and validation, as the probe is
handed over. All figures are of test.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.data.images import decode_resized
from trainables.data.splits.split import split_groups
from trainables.guarantee import FALSE_ALARMS, POWER, RARE, Guarantee, evidence, fit_guarantee, measure
from trainables.probe.fits import logistic_path
from trainables.probe.solution import standardisation

SIZE, DEPTHS = 299, ("mixed8", "mixed9", "mixed10")
STRENGTHS = (30 / 5376, 300 / 5376)
COMPONENTS = 256
PARTS = ("known", "planted", "small")

Array = npt.NDArray[Any]


def features(options: argparse.Namespace) -> dict[str, Array]:
    """Features float32 [n, 5376] of the dataset's photos, the planted and the other families'; labels and groups."""
    from trainables.config import TrialConfig
    from trainables.data.dataset import SPLITS, open_dataset
    from trainables.device import prepare_tensorflow, usable_cores
    from trainables.network.backbones import scale_pixels
    from trainables.network.head import pooled_backbone
    from trainables.training.worker import Worker

    prepare_tensorflow(None)
    dataset = open_dataset(options.dataset)
    worker = Worker(dataset, options.keep / "store", None, usable_cores())
    config = TrialConfig(weights=options.weights, image_size=SIZE, precision="float32")
    known = np.concatenate([worker.pooled(split, config, DEPTHS) for split in SPLITS])
    photos = [photo for split in SPLITS for photo in dataset.photos(split)]
    model = pooled_backbone(worker.base(config), DEPTHS)

    def of_files(files: Sequence[Path]) -> Array:
        parts = []
        for first in range(0, len(files), 32):
            pixels = np.stack([decode_resized(file.read_bytes(), SIZE) for file in files[first : first + 32]])
            parts.append(np.asarray(model(scale_pixels("inception_v3", pixels), training=False)))
        return np.concatenate(parts)

    others = [folder for folder in (options.data / "rare_families").iterdir() if folder.is_dir()]
    small = [file for folder in others if folder.name not in dataset.class_names for file in sorted(folder.iterdir())]
    return {
        "known": known,
        "labels": np.array([photo.label for photo in photos]),
        "groups": np.array([photo.group for photo in photos]),
        "classes": np.array(dataset.class_names),
        "planted": of_files(sorted((options.data / "planted_irrelevant").glob("*.jpg"))),
        "small": of_files(small),
    }


class Model:
    """The classifier fitted on some of the known photos: `logits` float64 of all known, planted and other photos.

    `lengths` are those of their standardised features.
    """

    def __init__(self, kept: dict[str, Array], fitted: Array, file: Path) -> None:
        self.kept, self.labels = kept, kept["labels"][fitted]
        self.mean, self.deviation = standardisation(kept["known"][fitted])
        self.rows = self._standard(kept["known"][fitted])
        if not file.is_file():
            *_, linear = logistic_path([self.rows], self.labels, int(self.labels.max()) + 1, True, STRENGTHS)
            np.savez(file, **{part: self._standard(kept[part]) @ linear.kernel + linear.bias for part in PARTS})
        self.logits = {part: rows.astype(np.float64) for part, rows in np.load(file).items()}
        self.lengths = {part: np.linalg.norm(self._standard(kept[part]), axis=1) for part in PARTS}

    def nearest(self, part: str) -> Array:
        """Cosine of the nearest photo that it was fitted on, [n]."""
        found = self._standard(self.kept[part])
        one, all_ = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, self.rows))
        return np.asarray((one @ all_.T).max(axis=1))

    def mahalanobis(self, part: str) -> Array:
        """Minus the squared distance to the nearest family's mean, with a shrunk covariance of 256 dimensions, [n]."""
        pca, root, means = self._space
        asked = pca.transform(self._standard(self.kept[part])) @ root
        square = (asked**2).sum(axis=1)[:, None] - 2 * asked @ means.T + (means**2).sum(axis=1)
        return np.asarray(-square.min(axis=1))

    @cached_property
    def _space(self) -> tuple[Any, Array, Array]:
        from sklearn.covariance import LedoitWolf
        from sklearn.decomposition import PCA

        pca = PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit(self.rows)
        rows, (families, place) = pca.transform(self.rows), np.unique(self.labels, return_inverse=True)
        means = np.stack([rows[self.labels == family].mean(axis=0) for family in families])
        root = np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(rows - means[place]).precision_)
        return pca, root, means @ root

    def _standard(self, found: Array) -> Array:
        return np.ascontiguousarray((found - self.mean) / self.deviation)


Score = Callable[[Model, str, Guarantee], Array]
SCORES: dict[str, Score] = {
    **{
        f"energy over length to the {power}": lambda model, part, _, power=power: evidence(  # type: ignore[misc]
            model.logits[part], model.lengths[part], power
        )
        for power in (0, POWER, 0.5, 1)
    },
    "largest logit": lambda model, part, _: np.asarray(model.logits[part].max(axis=1)),
    "nearest training photo": lambda model, part, _: model.nearest(part),
    "Mahalanobis": lambda model, part, _: model.mahalanobis(part),
    "largest probability": lambda model, part, held: np.asarray(held.probabilities(model.logits[part]).max(axis=1)),
}


def one_split(kept: dict[str, Array], seed: int, folder: Path) -> dict[str, float]:
    """All figures of one split; `folder` keeps what was fitted."""
    labels, groups = kept["labels"], kept["groups"]
    classes = kept["classes"][labels].tolist()
    of_group = split_groups(groups.tolist(), classes, (0.7, 0.15, 0.15), seed).of_group
    split = np.array([of_group[group] for group in groups.tolist()])
    train, validation, test = (split == name for name in ("train", "validation", "test"))
    rare = np.bincount(labels) < RARE
    first = Model(kept, train, folder / f"train_{seed}.npz")
    again = Model(kept, train | validation, folder / f"again_{seed}.npz")
    counts = np.bincount(labels[train], minlength=len(rare)).tolist()
    guarantee = fit_guarantee(
        first.logits["known"][validation], labels[validation], counts, first.lengths["known"][validation]
    )
    row = {"temperature": guarantee.temperature}
    models = {"fitted on train": first, "fitted again": again}
    for name, model in models.items():
        logits = model.logits["known"][test]
        found = measure(guarantee, logits, labels[test], rare, model.lengths["known"][test], groups[test])
        row |= {
            f"{name}: accuracy": float((logits.argmax(axis=1) == labels[test]).mean()),
            f"{name}: coverage": found.coverage.value,
            f"{name}: coverage of families with fewer than {RARE} photos": found.rare.value,
            f"{name}: families in a set": found.size,
            f"{name}: sets of one": found.single,
            f"{name}: calibration error without temperature": found.error_before,
            f"{name}: calibration error": found.error,
        }
    for name, score in SCORES.items():
        values = np.sort(score(first, "known", guarantee)[validation])
        below = values[int((len(values) + 1) * FALSE_ALARMS) - 1]
        for whose, model in models.items():
            found_by = {part: score(model, part, guarantee) < below for part in PARTS}
            row[f"{name}, {whose}: known photos called unknown"] = float(found_by["known"][test].mean())
            row[f"{name}, {whose}: planted photos"] = float(found_by["planted"].mean())
            row[f"{name}, {whose}: photos of other families"] = float(found_by["small"].mean())
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with rare_families/ and planted_irrelevant/")
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top")
    parser.add_argument("--keep", type=Path, default=Path("runs/bench_sets"), help="folder for what was computed")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    file = options.keep / "features.npz"
    if not file.is_file():
        np.savez(file, **features(options))
    kept = dict(np.load(file))
    rows = [one_split(kept, seed, options.keep) for seed in range(options.seeds)]
    print("| | mean | deviation | lowest | highest |\n|---|---|---|---|---|")
    for name in rows[0]:
        found = np.array([row[name] for row in rows])
        print(f"| {name} | {found.mean():.3f} | {found.std():.3f} | {found.min():.3f} | {found.max():.3f} |")


if __name__ == "__main__":
    main()
