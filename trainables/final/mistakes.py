"""The most confident mistakes on test, as small pictures: each photo, and what in it spoke for the wrong answer."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainables.activations.features import Photos
from trainables.data.dataset import Dataset
from trainables.data.images import decode
from trainables.data.shards import read_split
from trainables.files.experiment import MISTAKES_FILE
from trainables.files.output import write_rows
from trainables.inference.grad_cam import GradCam
from trainables.overlay import overlay

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
