"""Pictures of mistakes on test: the most confident, and frequent confusions."""

from collections import Counter
from collections.abc import Sequence
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
from trainables.final.pictures import evenly_spaced
from trainables.inference.grad_cam import GradCam, overlay

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

COLUMNS = ("photo", "cam", "photo_id", "source", "family", "predicted", "probability", "probability_true")
MOST = 24
SIDE = 240  # the pictures' longest side, in pixels

EXAMPLE_COLUMNS = ("file", "kind", "split", "photo_id", "family", "predicted", "probability")
EXAMPLE_SIDE = 128  # of an example, in pixels
PAIRS = 6
PHOTOS_PER_PAIR = 3
PHOTOS_TO_COMPARE = 2


class Mistake(NamedTuple):
    """A photo's row in its split, and the label that was given to it."""

    row: int
    predicted: int


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


def most_confident(labels: Ints, probabilities: Floats, most: int | None = MOST) -> list[Mistake]:
    """The wrong answers with the highest probability, the highest first.

    Args:
        labels: [n], the true ones.
        probabilities: [n, classes].
        most: how many; None is all.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    return [Mistake(int(row), int(predicted[row])) for row in order[:most]]


def write_mistakes(model: Any, photos: Photos, probabilities: Floats, dataset: Dataset, folder: Path) -> None:
    """Write mistakes.csv with, for row NN, mistake_NN.jpg (the photo) and mistake_NN_cam.jpg (Grad-CAM over it).

    Args:
        model: the whole Keras model, pixels to probabilities.
        photos: the test split's, with `probabilities` [n, classes] of the same model for them.
        folder: where the files go; it exists.
    """
    rows: list[list[str]] = []
    if mistakes := most_confident(photos.labels, probabilities):
        wanted = [photos.photo_ids[mistake.row] for mistake in mistakes]
        encoded = {photo.photo_id: photo.image for photo in read_split(dataset, "test") if photo.photo_id in wanted}
        pixels = photos.read(np.array([mistake.row for mistake in mistakes]))
        heats, listed = GradCam(model).heat(pixels, [mistake.predicted for mistake in mistakes]), dataset.photos("test")
        for number, (mistake, heat) in enumerate(zip(mistakes, heats, strict=True)):
            row, picture = listed[mistake.row], decode(encoded[wanted[number]])
            picture.thumbnail((SIDE, SIDE))
            names = (f"mistake_{number:02d}.jpg", f"mistake_{number:02d}_cam.jpg")
            for name, shown in zip(names, (picture, overlay(picture, heat)), strict=True):
                shown.save(folder / name, quality=80)
            texts = (row.photo_id, row.source, row.family, dataset.class_names[mistake.predicted])
            chances = probabilities[mistake.row, [mistake.predicted, row.label]]
            rows.append([*names, *texts, *(f"{chance:.6f}" for chance in chances)])
    write_rows(folder / MISTAKES_FILE, COLUMNS, rows)


def write_examples(
    test: Photos, train: Photos, class_names: Sequence[str], probabilities: Floats, folder: Path
) -> None:
    """Write examples.csv and a JPEG for each of its rows into `folder`, at most thirty of them.

    Args:
        test: photos that were read for the one evaluation; none is read again from the shards.
        probabilities: float32 [len(test), classes] of the kept model.
    """
    folder.mkdir()
    rows = []
    for number, example in enumerate(choose_examples(test.labels, train.labels, probabilities)):
        photos = test if example.split == "test" else train
        name = f"{number:03d}.jpg"
        picture = Image.fromarray(photos.read(np.array([example.row]))[0])
        picture.resize((EXAMPLE_SIDE, EXAMPLE_SIDE), Image.Resampling.BILINEAR).save(folder / name, quality=85)
        sure = "" if np.isnan(example.probability) else f"{example.probability:.6f}"
        names = (class_names[example.family], class_names[example.predicted])
        rows.append((name, example.kind, example.split, photos.photo_ids[example.row], *names, sure))
    write_rows(folder / EXAMPLES_FILE, EXAMPLE_COLUMNS, rows)


def choose_examples(labels: Ints, train_labels: Ints, probabilities: Floats) -> list[Example]:
    """The photos to show: of each frequent confusion the surest mistakes, then photos to compare them with."""
    mistakes = [(int(labels[row]), predicted, row) for row, predicted in most_confident(labels, probabilities, None)]
    # Where two pairs are as frequent, the surer one comes first.
    pairs = Counter((family, predicted) for family, predicted, _ in mistakes)
    chosen: list[Example] = []
    for (family, predicted), _ in pairs.most_common(PAIRS):
        rows = [row for *pair, row in mistakes if pair == [family, predicted]][:PHOTOS_PER_PAIR]
        chosen += [
            Example("confused", "test", row, family, predicted, float(probabilities[row, predicted])) for row in rows
        ]
        spread = evenly_spaced(np.flatnonzero(train_labels == predicted), PHOTOS_TO_COMPARE).tolist()
        chosen += [Example("compare", "train", row, predicted, predicted, float("nan")) for row in spread]
    return chosen
