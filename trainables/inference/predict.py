"""Name the families of photos with a trained model."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.data.images import PHOTO_SUFFIXES, ImageUnreadable, decode_resized
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.files.experiment import MODEL_FILE
from trainables.files.output import write_rows
from trainables.inference.keras_model import Labels, read_labels

BATCH = 32

Pixels = npt.NDArray[np.uint8]


class Guess(NamedTuple):
    """A family and its probability, 0..1."""

    family: str
    probability: float


class Answer(NamedTuple):
    """The likeliest families of a photo, likeliest first; or the problem that kept it from being read."""

    photo: Path
    guesses: list[Guess]
    problem: str | None = None


class Classifier:
    """A final stage's model with its labels: `model` maps pixels 0..255 to probabilities."""

    def __init__(self, model: Any, labels: Labels) -> None:
        self.model = model
        self.labels = labels

    def predict(self, photos: Sequence[Path], top: int) -> list[list[Guess]]:
        """The `top` likeliest families of each photo, likeliest first.

        Raises:
            UserError: a file is missing or is no picture; nothing is predicted then.
        """
        answers = list(self.answers(photos, top))
        for answer in answers:
            if answer.problem:
                raise UserError(f"{answer.photo} {answer.problem}")
        return [answer.guesses for answer in answers]

    def answers(self, photos: Sequence[Path], top: int) -> Iterator[Answer]:
        """The same photo by photo, in their order; one that cannot be read is answered with its problem."""
        with ThreadPoolExecutor(usable_cores()) as pool:
            for first in range(0, len(photos), BATCH):
                chosen = photos[first : first + BATCH]
                read = list(pool.map(lambda photo: _read(photo, self.labels.image_size), chosen))
                rows = iter(self._probabilities([pixels for pixels in read if not isinstance(pixels, str)]))
                for photo, pixels in zip(chosen, read, strict=True):
                    if isinstance(pixels, str):
                        yield Answer(photo, [], pixels)
                    else:
                        yield Answer(photo, self._guesses(next(rows), top))

    def _probabilities(self, pixels: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        if not pixels:
            return np.empty((0, len(self.labels.class_names)), np.float32)
        # Not `predict`, which sets up a data pipeline for every call.
        return np.asarray(self.model.predict_on_batch(np.stack(pixels)))

    def _guesses(self, row: npt.NDArray[np.float32], top: int) -> list[Guess]:
        best = np.argsort(-row, kind="stable")[:top]
        return [Guess(self.labels.class_names[index], float(row[index])) for index in best]


def load_classifier(model: Path) -> Classifier:
    """Load a final stage's folder, or its model.keras, which is enough alone.

    Raises:
        UserError: there is no model, or no labels in it.
    """
    file = model / MODEL_FILE if model.is_dir() else model
    labels = read_labels(file)
    import keras

    try:
        return Classifier(keras.models.load_model(file, compile=False), labels)
    except (ValueError, OSError) as error:
        raise UserError(f"{file} is no Keras model: {' '.join(str(error).split())[:200]}") from None


def find_photos(named: Sequence[Path]) -> list[Path]:
    """The photos named: files as they are, and of each folder all photos in it, however deep, by name.

    Raises:
        UserError: a folder holds no photo.
    """
    photos = []
    for path in named:
        inside = [path]
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if _looks_like_a_photo(file, path))
            if not inside:
                raise UserError(f"{path} holds no photo; photos are called {', '.join(sorted(PHOTO_SUFFIXES))}")
        photos += inside
    return photos


def write_answers(answers: Sequence[Answer], top: int, file: Path) -> None:
    """Write a CSV with a row per photo: photo, problem (empty for most), then family_1, probability_1, family_2, …"""
    ranks = range(1, top + 1)
    header = ["photo", "problem", *(name for rank in ranks for name in (f"family_{rank}", f"probability_{rank}"))]
    rows = []
    for answer in answers:
        shown = [text for guess in answer.guesses for text in (guess.family, f"{guess.probability:.6f}")]
        rows.append([answer.photo, answer.problem or "", *shown, *[""] * (2 * top - len(shown))])
    try:
        write_rows(file, header, rows)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None


def _looks_like_a_photo(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in PHOTO_SUFFIXES and not hidden and file.is_file()


def _read(photo: Path, image_size: int) -> Pixels | str:
    """A photo's pixels, or what is wrong with it."""
    try:
        return decode_resized(photo.read_bytes(), image_size)
    except (OSError, ImageUnreadable) as error:
        return problem(error)


def problem(error: OSError | ImageUnreadable) -> str:
    """What keeps a photo from being read, to be said behind its name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return f"is no picture that can be read ({error})"
