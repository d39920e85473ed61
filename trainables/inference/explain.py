"""Explanations of predictions: a photo and its Grad-CAM overlay, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from trainables.data.images import ImageUnreadable, decode, decode_resized
from trainables.errors import UserError
from trainables.inference.grad_cam import GradCam, overlay
from trainables.inference.predict import BATCH, Classifier, Guess, problem

SIDE = 800  # longest side of each of the two pictures, in pixels
_GAP = 8


class Explanation(NamedTuple):
    """The picture that was written for a photo, and the family that it is about."""

    photo: Path
    about: Guess
    file: Path


def explain(
    classifier: Classifier, photos: Sequence[Path], family: str | None, out: Path
) -> tuple[GradCam, list[Explanation]]:
    """Write PHOTO_cam.jpg for each photo into `out`.

    Args:
        family: whose evidence to show; None is the family that the model finds likeliest for each photo.

    Raises:
        UserError: there is no such family, a photo cannot be read, or two would be written as one file; nothing is
            written then.
    """
    names = classifier.labels.class_names
    if family is not None and family not in names:
        raise UserError(f"--family: the model knows no {family!r}; it knows {', '.join(names)}")
    files = [out / f"{photo.stem}_cam.jpg" for photo in photos]
    twice = next((file for file in files if files.count(file) > 1), None)
    if twice is not None:
        raise UserError(f"two of the photos would be written as {twice}; explain them one by one, with --out")
    cam = GradCam(classifier.model)
    pictures = [_decoded(photo, classifier.labels.image_size) for photo in photos]
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for first in range(0, len(photos), BATCH):
        rows = range(first, min(first + BATCH, len(photos)))
        pixels = np.stack([pictures[row][1] for row in rows])
        probabilities = np.asarray(classifier.model.predict_on_batch(pixels))
        about = probabilities.argmax(axis=1) if family is None else np.full(len(rows), names.index(family))
        for row, label, chances, heat in zip(rows, about, probabilities, cam.heat(pixels, about.tolist()), strict=True):
            photo = pictures[row][0]
            both = Image.new("RGB", (2 * photo.width + _GAP, photo.height), "white")
            both.paste(photo, (0, 0))
            both.paste(overlay(photo, heat), (photo.width + _GAP, 0))
            both.save(files[row], quality=88)
            written.append(Explanation(photos[row], Guess(names[label], float(chances[label])), files[row]))
    return cam, written


def _decoded(photo: Path, image_size: int) -> tuple[Image.Image, np.ndarray]:
    """A photo to show, and as the model takes it."""
    try:
        encoded = photo.read_bytes()
        picture = decode(encoded)
        picture.thumbnail((SIDE, SIDE))
        return picture, decode_resized(encoded, image_size)
    except (OSError, ImageUnreadable) as error:
        raise UserError(f"{photo} {problem(error)}") from None
