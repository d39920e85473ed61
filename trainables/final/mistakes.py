"""The most confident mistakes on test, as small pictures: each photo, and what in it spoke for the wrong answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainables.activations.photos import Photos
from trainables.data.dataset import Dataset
from trainables.data.images import decode
from trainables.data.shards import read_split
from trainables.files.experiment import EXAMPLES_FILE, MISTAKES_FILE
from trainables.files.output import write_rows
from trainables.inference.grad_cam import GradCam, overlay

COLUMNS = ("photo", "cam", "photo_id", "source", "family", "predicted", "probability", "probability_true")
MOST = 24
SIDE = 240  # the pictures' longest side, in pixels


class Mistake(NamedTuple):
    """A photo's row in its split, and the label that was given to it."""

    row: int
    predicted: int


def most_confident(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32], most: int = MOST
) -> list[Mistake]:
    """The wrong answers with the highest probability, the highest first.

    Args:
        labels: [n], the true ones.
        probabilities: [n, classes].
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    return [Mistake(int(row), int(predicted[row])) for row in order[:most]]


def write_mistakes(
    model: Any, photos: Photos, probabilities: npt.NDArray[np.float32], dataset: Dataset, folder: Path
) -> None:
    """Write mistakes.csv with, for row NN, mistake_NN.jpg (the photo) and mistake_NN_cam.jpg (Grad-CAM over it).

    Args:
        model: the whole Keras model, pixels to probabilities.
        photos: the test split's, with `probabilities` [n, classes] of the same model for them.
        folder: where the files go; it exists.
    """
    mistakes = most_confident(photos.labels, probabilities)
    rows = []
    if mistakes:
        heats = GradCam(model).heat(
            photos.read(np.array([mistake.row for mistake in mistakes])), [mistake.predicted for mistake in mistakes]
        )
        pictures = _pictures(dataset, {photos.photo_ids[mistake.row] for mistake in mistakes})
        listed = dataset.photos("test")
        for number, (mistake, heat) in enumerate(zip(mistakes, heats, strict=True)):
            photo, (names, picture) = listed[mistake.row], (_names(number), pictures[photos.photo_ids[mistake.row]])
            for name, shown in zip(names, (picture, overlay(picture, heat)), strict=True):
                shown.save(folder / name, quality=80)
            chances = probabilities[mistake.row, [mistake.predicted, photo.label]]
            predicted = dataset.class_names[mistake.predicted]
            said = (photo.photo_id, photo.source, photo.family, predicted, *(f"{chance:.6f}" for chance in chances))
            rows.append([*names, *said])
    write_rows(folder / MISTAKES_FILE, COLUMNS, rows)


def _names(number: int) -> tuple[str, str]:
    return f"mistake_{number:02d}.jpg", f"mistake_{number:02d}_cam.jpg"


def _pictures(dataset: Dataset, photo_ids: set[str]) -> dict[str, Image.Image]:
    """The wanted test photos by id, their longest side `SIDE` pixels at most."""
    pictures = {}
    for photo in read_split(dataset, "test"):
        if photo.photo_id in photo_ids:
            pictures[photo.photo_id] = decode(photo.image)
            pictures[photo.photo_id].thumbnail((SIDE, SIDE))
    return pictures


COPY_SIDE = 128  # of a copy, in pixels


PAIRS = 6


PHOTOS_PER_PAIR = 3


PHOTOS_TO_COMPARE = 2


EXAMPLE_COLUMNS = ("file", "kind", "split", "photo_id", "family", "predicted", "probability")


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
        Image.fromarray(pixels).resize((COPY_SIDE, COPY_SIDE), Image.Resampling.BILINEAR).save(
            folder / name, quality=85
        )
        sure = "" if np.isnan(example.probability) else f"{example.probability:.6f}"
        names = (class_names[example.family], class_names[example.predicted])
        rows.append((name, example.kind, example.split, photos.photo_ids[example.row], *names, sure))
    write_rows(folder / EXAMPLES_FILE, EXAMPLE_COLUMNS, rows)


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
