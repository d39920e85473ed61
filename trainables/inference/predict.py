"""Name the families of photos with a trained model."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Classifier:
    """A final stage's model with its labels: `model` maps pixels 0..255 to probabilities."""

    model: Any
    labels: Labels

    def answers(self, photos: Sequence[Path], top: int) -> Iterator[Answer]:
        """The `top` likeliest families photo by photo, in their order; or the problem of one that cannot be read."""
        names = self.labels.class_names
        with ThreadPoolExecutor(usable_cores()) as pool:
            for first in range(0, len(photos), BATCH):
                chosen = photos[first : first + BATCH]
                read = list(pool.map(self._read, chosen))
                pixels = [each for each in read if not isinstance(each, str)]
                # Not `predict`, which sets up a data pipeline for every call.
                rows = iter(np.asarray(self.model.predict_on_batch(np.stack(pixels)))) if pixels else iter(())
                for photo, each in zip(chosen, read, strict=True):
                    if isinstance(each, str):
                        yield Answer(photo, [], each)
                        continue
                    row = next(rows)
                    best = np.argsort(-row, kind="stable")[:top]
                    yield Answer(photo, [Guess(names[label], float(row[label])) for label in best])

    def _read(self, photo: Path) -> Pixels | str:
        """A photo's pixels, or what is wrong with it."""
        try:
            return decode_resized(photo.read_bytes(), self.labels.image_size)
        except (OSError, ImageUnreadable) as error:
            return problem(error)


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
            named_so = (file for file in path.rglob("*") if file.suffix.lower() in PHOTO_SUFFIXES and file.is_file())
            inside = sorted(
                file for file in named_so if not any(part.startswith(".") for part in file.relative_to(path).parts)
            )
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


def problem(error: OSError | ImageUnreadable) -> str:
    """What keeps a photo from being read, to stand behind its name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return f"is no picture that can be read ({error})"
