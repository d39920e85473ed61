"""Name the families of photos with a trained model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainables.errors import SweepError
from trainables.export import LABELS_FILE, MODEL_FILE
from trainables.images import ImageUnreadable, decode_resized


class Guess(NamedTuple):
    """A family and its probability, 0..1."""

    family: str
    probability: float


class Classifier:
    """A final stage's model with its labels."""

    def __init__(self, model: Any, class_names: Sequence[str], image_size: int) -> None:
        self._model = model
        self._class_names = class_names
        self._image_size = image_size

    def predict(self, photos: Sequence[Path], top: int, batch: int = 32) -> list[list[Guess]]:
        """The `top` likeliest families of each photo, likeliest first.

        Raises:
            SweepError: a file is missing or is no picture; nothing is predicted then.
        """
        guesses = []
        for first in range(0, len(photos), batch):
            pixels = np.stack([_read(photo, self._image_size) for photo in photos[first : first + batch]])
            for row in self._model.predict(pixels, verbose=0):
                best = np.argsort(-row, kind="stable")[:top]
                guesses.append([Guess(self._class_names[index], float(row[index])) for index in best])
        return guesses


def load_classifier(model: Path) -> Classifier:
    """Load a final stage's folder, or the model.keras in it.

    Raises:
        SweepError: there is no model, or its labels are not beside it.
    """
    file = model / MODEL_FILE if model.is_dir() else model
    labels_file = file.with_name(LABELS_FILE)
    for needed in (file, labels_file):
        if not needed.is_file():
            raise SweepError(f"{needed} does not exist; MODEL is the folder that `python -m trainables retrain` wrote")
    labels = json.loads(labels_file.read_text())
    import keras

    try:
        loaded = keras.models.load_model(file, compile=False)
    except (ValueError, OSError) as error:
        raise SweepError(f"{file} is no Keras model: {' '.join(str(error).split())[:200]}") from None
    return Classifier(loaded, labels["class_names"], labels["image_size"])


def _read(photo: Path, image_size: int) -> Any:
    try:
        return decode_resized(photo.read_bytes(), image_size)
    except OSError as error:
        raise SweepError(f"{photo} cannot be read: {error.strerror}") from None
    except ImageUnreadable as error:
        raise SweepError(f"{photo} is no picture that can be read ({error})") from None
