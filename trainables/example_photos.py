"""Small copies of test photos of families that were confused, and of training photos to compare them with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainables.activations.features import Photos
from trainables.files.experiment import EXAMPLES_FILE
from trainables.files.output import write_rows

SIDE = 128  # of a copy, in pixels
PAIRS = 6
PHOTOS_PER_PAIR = 3
PHOTOS_TO_COMPARE = 2
COLUMNS = ("file", "kind", "split", "photo_id", "family", "predicted", "probability")


class Example(NamedTuple):
    """One photo to copy: `row` in its split's photos; labels; `probability` (0..1) of the prediction, NaN in training.

    `kind` is "confused" (a test photo of a frequent pair of families) or "compare" (a training photo of the family that
    such photos were taken for; `predicted` is then its own family).
    """

    kind: str
    split: str
    row: int
    family: int
    predicted: int
    probability: float


def write_examples(
    test: Photos, train: Photos, class_names: Sequence[str], probabilities: npt.NDArray[np.float32], folder: Path
) -> None:
    """Write examples.csv and a JPEG for each of its rows into `folder`, at most thirty of them.

    Args:
        test: photos that were read for the one evaluation; none is read again from the shards.
        probabilities: float32 [len(test), classes] of the kept model.
    """
    folder.mkdir()
    rows = []
    for number, example in enumerate(choose(test.labels, train.labels, probabilities)):
        photos = test if example.split == "test" else train
        name = f"{number:03d}.jpg"
        pixels = photos.read(np.array([example.row]))[0]
        Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(folder / name, quality=85)
        sure = "" if np.isnan(example.probability) else f"{example.probability:.6f}"
        names = (class_names[example.family], class_names[example.predicted])
        rows.append((name, example.kind, example.split, photos.photo_ids[example.row], *names, sure))
    write_rows(folder / EXAMPLES_FILE, COLUMNS, rows)


def choose(
    labels: npt.NDArray[np.int64], train_labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]
) -> list[Example]:
    """The photos to show: of each frequent confusion the surest mistakes, then photos to compare them with."""
    guesses = probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(labels)), guesses]
    wrong = np.flatnonzero(guesses != labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]

    chosen: list[Example] = []
    for family, predicted in _frequent_pairs(labels[wrong], guesses[wrong]):
        own = wrong[(labels[wrong] == family) & (guesses[wrong] == predicted)][:PHOTOS_PER_PAIR]
        chosen += [Example("confused", "test", int(row), family, predicted, float(sure[row])) for row in own]
        chosen += _to_compare(predicted, train_labels)
    return chosen


def _frequent_pairs(truth: npt.NDArray[np.int64], guesses: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """(family, predicted) of the most frequent mistakes; the surer one first where two are as frequent."""
    pairs = Counter(zip(truth.tolist(), guesses.tolist(), strict=True))
    return [pair for pair, _ in pairs.most_common(PAIRS)]


def _to_compare(family: int, train_labels: npt.NDArray[np.int64]) -> Iterator[Example]:
    members = np.flatnonzero(train_labels == family)
    spread = np.linspace(0, len(members) - 1, min(PHOTOS_TO_COMPARE, len(members))).astype(np.int64)
    yield from (Example("compare", "train", int(row), family, family, float("nan")) for row in members[spread])
