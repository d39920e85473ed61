"""Which unlabelled photos to label next: uncertain ones, unlike each other, and of families that lack photos.

Each photo stands for the gradient that its label would give the last layer, if the model's own answer were right: large
where the model is unsure, and in another direction for another kind of photo (BADGE: Ash et al. 2020, "Deep Batch
Active Learning by Diverse, Uncertain Gradient Lower Bounds", arXiv 1906.03671). They are drawn by k-means++ on these
gradients. Families count by the root of how rare they are among the training photos.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from trainables.data.images import ImageUnreadable, decode_resized
from trainables.data.photo_files import Found
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.files.output import check_free, whole_or_nothing, write_rows
from trainables.inference.keras_model import BATCH, Classifier, Guess, find_photos
from trainables.review.review import PAGE, PHOTO_SIDE, TILE, picture_address, template, thumbnail

Array = npt.NDArray[Any]
Say = Callable[[str], None]

LIST = "next.csv"
COLUMNS = ("family", "rank", "source", "guess", "probability", "guess_2", "probability_2", "unknown", "reason")
LIKE = 0.05  # a family with less than this probability is not named in a reason


class Chosen(NamedTuple):
    """A photo to label: its place among those asked for, the likeliest families, and whether it is unknown."""

    place: int
    guesses: tuple[Guess, Guess]
    unknown: bool
    reason: str


def choose(classifier: Classifier, batches: Iterable[Array], top: int, seed: int = 0) -> list[Chosen]:
    """The `top` photos to label next of those decoded in `batches`, uint8 [n, size, size, 3] each, as they were drawn.

    Raises:
        UserError: the model has no guarantee.
    """
    guarantee, names = classifier.labels.guarantee, classifier.labels.class_names
    if guarantee is None:
        raise UserError(
            "this model has no guarantee, because an earlier version wrote it; `python -m trainables retrain` or "
            "`probe` writes one with it"
        )
    parts = zip(*(classifier.seen(pixels) for pixels in batches), strict=True)
    probabilities, features, unknown = (np.concatenate(part) for part in parts)
    shares = np.array(guarantee.shares)
    order = draw(probabilities, features, np.sqrt(shares.mean() / shares), top, np.random.default_rng(seed))
    found = []
    for place in order:
        first, second = (int(label) for label in np.argsort(-probabilities[place], kind="stable")[:2])
        guesses = tuple(Guess(names[label], float(probabilities[place, label])) for label in (first, second))
        rare = shares[first] < np.median(shares)
        found.append(Chosen(place, (guesses[0], guesses[1]), bool(unknown[place]), why(guesses, unknown[place], rare)))
    return found


def draw(probabilities: Array, features: Array, weights: Array, top: int, random: np.random.Generator) -> list[int]:
    """Places of `top` photos, drawn by k-means++ (Arthur and Vassilvitskii 2007) on their gradients.

    Args:
        probabilities: [n, families].
        features: what the last layer reads, [n, channels].
        weights: how much each family counts, [families].
    """
    residual = probabilities.astype(np.float64)
    residual[np.arange(len(residual)), residual.argmax(axis=1)] -= 1
    residual *= weights
    # A gradient is the outer product of residual and features: inner products of two are products of theirs.
    norm = (residual**2).sum(axis=1) * (features.astype(np.float64) ** 2).sum(axis=1)
    chosen = [int(norm.argmax())]
    nearest = np.full(len(norm), np.inf)
    while len(chosen) < min(top, len(norm)):
        last = chosen[-1]
        inner = (residual @ residual[last]) * (features @ features[last]).astype(np.float64)
        nearest = np.minimum(nearest, np.maximum(norm + norm[last] - 2 * inner, 0))
        nearest[chosen] = 0
        total = nearest.sum()
        if total <= 0:  # What is left equals what was chosen.
            rest = np.setdiff1d(np.arange(len(norm)), chosen)
            return chosen + [int(place) for place in rest[: top - len(chosen)]]
        chosen.append(int(random.choice(len(norm), p=nearest / total)))
    return chosen


def why(guesses: Sequence[Guess], unknown: bool, rare: bool) -> str:
    """A sentence on why a photo is worth a label."""
    first, second = guesses
    if unknown:
        return "unlike all that the model was trained on: another family, or none"
    said = f"{first.probability:.0%} {first.family}"
    if second.probability >= LIKE:
        said = f"unsure between {said} and {second.probability:.0%} {second.family}"
    return f"{said}, which has few training photos" if rare else said


def label_next(classifier: Classifier, folder: Path, out: Path, top: int, say: Say) -> list[Chosen]:
    """Choose among all photos below `folder`, and write next.csv and index.html to `out`; `say` gets a line per step.

    Raises:
        UserError: there is no photo that can be read, the model has no guarantee, or `out` is not free.
    """
    root, out = folder.resolve(), out.resolve()
    check_free(out)
    others = Found("album")
    files, size = find_photos([root], others), classifier.labels.image_size
    if others.excluded:
        say(f"{len(others.excluded)} files are no photos and passed over: {others.passed_over()}")
    say(f"looking at {len(files)} photos")
    read: list[Path] = []
    chosen = choose(classifier, _batches(files, size, read), top)
    if len(read) < len(files):
        say(f"{len(files) - len(read)} of them cannot be read")
    rows = []
    for rank, one in enumerate(chosen, start=1):
        guesses = [text for guess in one.guesses for text in (guess.family, f"{guess.probability:.6f}")]
        source = read[one.place].relative_to(root).as_posix()
        # `family` is empty: a person writes it there.
        rows.append(["", rank, source, *guesses, str(one.unknown).lower(), one.reason])
    with whole_or_nothing(out) as partial:
        write_rows(partial / LIST, COLUMNS, rows)
        (partial / PAGE).write_text(_page(classifier, root, out, [read[one.place] for one in chosen], chosen), "utf-8")
    return chosen


def _batches(files: Sequence[Path], size: int, read: list[Path]) -> Iterator[Array]:
    """Photos that can be read, uint8 [at most BATCH, size, size, 3] each; `read` gets their files.

    Raises:
        UserError: none can be read.
    """

    def pixels(file: Path) -> Array | None:
        try:
            return decode_resized(file.read_bytes(), size)
        except (OSError, ImageUnreadable):
            return None

    with ThreadPoolExecutor(usable_cores()) as pool:
        for first in range(0, len(files), BATCH):
            some = files[first : first + BATCH]
            found = [(file, each) for file, each in zip(some, pool.map(pixels, some), strict=True) if each is not None]
            if found:
                read += [file for file, _ in found]
                yield np.stack([each for _, each in found])
    if not read:
        raise UserError(f"none of the {len(files)} photos can be read, such as {files[0]}")


def _page(classifier: Classifier, root: Path, out: Path, files: Sequence[Path], chosen: Sequence[Chosen]) -> str:
    cards = []
    for rank, (file, one) in enumerate(zip(files, chosen, strict=True), start=1):
        source = file.relative_to(root).as_posix()
        picture = thumbnail(root, source, PHOTO_SIDE)
        card = {"rank": rank, "source": source, "reason": one.reason, "guess": one.guesses[0].family}
        card |= {"photo": picture_address(picture), "width": picture.width, "height": picture.height}
        cards.append(card | {"original": quote(Path(os.path.relpath(file, out)).as_posix())})
    names = classifier.labels.class_names
    return template("next.html.j2").render(cards=cards, names=names, photos=str(root), tile=TILE)
