"""The trained network as one plain Keras model: built, saved, loaded, asked."""

import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from trainables.config import TrialConfig
from trainables.data.images import ImageUnreadable, decode_resized
from trainables.data.photo_files import Found, photo_files
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.files.experiment import LABELS_FILE, MODEL_FILE
from trainables.files.output import write_json, write_rows
from trainables.network.backbones import scaling_layer
from trainables.network.head import head_layers, pooled_backbone
from trainables.network.tail import Tail

Array = npt.NDArray[Any]

BATCH = 32
_METADATA = "metadata.json"  # Keras' own entry in a .keras file; Keras writes it and never reads it.


class Labels(BaseModel):
    """What a model's numbers mean: the families by label, and the side in pixels of the photos that it takes."""

    model_config = ConfigDict(frozen=True)

    class_names: tuple[str, ...]
    image_size: int
    backbone: str


def whole_model(base: Any, tail: Tail, config: TrialConfig) -> Any:
    """Backbone, tail and head in one Keras model, scaling inside.

    It maps RGB pixels 0..255, [n, size, size, 3], to float32 probabilities [n, classes].
    """
    import keras

    backbone = keras.models.clone_model(base)
    backbone.set_weights(base.get_weights())
    for layer in tail.body.layers:
        if layer.weights:
            backbone.get_layer(layer.name).set_weights(layer.get_weights())
    standard = [variable.numpy() for variable in tail.standard] if tail.body.cut.depths else None
    return headed_model(backbone, tail.body.cut.depths, config, standard, [each.numpy() for each in tail.head])


def headed_model(
    backbone: Any, depths: Sequence[str], config: TrialConfig, standard: Sequence[Array] | None, head: Sequence[Array]
) -> Any:
    """A backbone without top and a head in one Keras model, scaling inside; the backbone is frozen, not copied.

    Args:
        depths: what the head reads (see `head.pooled_backbone`).
        standard: mean and deviation of the features, float32 [channels] each, None where they stay as they are.
        head: kernel and bias of each dense layer, one after the other; the last one's width is the number of families.
    """
    import keras

    backbone.trainable = False
    pixels = keras.Input((config.image_size, config.image_size, 3), name="pixels")
    features = pooled_backbone(backbone, depths)(scaling_layer(config.backbone)(pixels), training=False)
    layers = head_layers(config, len(head[-1]), standard)
    for layer in layers:
        features = layer(features)
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    for layer, weights in zip(dense, zip(head[::2], head[1::2], strict=True), strict=True):
        layer.set_weights(weights)
    return keras.Model(pixels, features, name="raretune")


def save_model(model: Any, class_names: tuple[str, ...], config: TrialConfig, folder: Path) -> None:
    """Write model.keras, its labels inside, and labels.json for readers without Keras."""
    file = folder / MODEL_FILE
    labels = {"class_names": class_names, "image_size": config.image_size, "backbone": config.backbone}
    model.save(file)
    # The labels go into the metadata: a fourth entry would make Keras unpack all of the archive to load it.
    written = file.with_name(f".{file.name}.labels")
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(written, "w") as copy:
        for entry in archive.infolist():
            same = zipfile.ZipInfo(entry.filename, entry.date_time)
            with archive.open(entry) as source, copy.open(same, "w", force_zip64=True) as target:
                if entry.filename == _METADATA:
                    target.write(json.dumps(json.load(source) | {"labels": labels}, ensure_ascii=False).encode())
                else:
                    shutil.copyfileobj(source, target, 1 << 20)
    written.replace(file)
    write_json(labels, folder / LABELS_FILE)


def read_labels(model: Path) -> Labels:
    """Read the labels in a .keras file, or the labels.json beside an older one.

    Raises:
        UserError: the file is missing, is no .keras file, or has no labels.
    """
    try:
        with zipfile.ZipFile(model) as archive:
            labels = json.loads(archive.read(_METADATA)).get("labels")
        if labels is None:
            labels = json.loads(model.with_name(LABELS_FILE).read_text())
        return Labels.model_validate(labels)
    except FileNotFoundError as error:
        hint = "MODEL is the folder that `python -m trainables retrain` wrote, or the model.keras in it"
        raise UserError(f"{error.filename} does not exist; {hint}") from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, ValidationError) as error:
        raise UserError(f"{model} is no model that `retrain` wrote: {' '.join(str(error).split())[:200]}") from None


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

    def _read(self, photo: Path) -> npt.NDArray[np.uint8] | str:
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


def find_photos(named: Sequence[Path], passed_over: Found | None = None) -> list[Path]:
    """The photos named: files as they are, and all photos in a folder, however deep, by name.

    `passed_over` gets the files of the folders that are no photos, each with its reason.

    Raises:
        UserError: a folder holds no photo.
    """
    photos = []
    for path in named:
        inside = [path]
        if path.is_dir():
            found = Found("album")
            inside = sorted(path / source for source in photo_files(path, found))
            if not inside:
                raise UserError(f"{path} holds no photo ({found.passed_over() or 'it is empty'})")
            if passed_over is not None:
                passed_over.excluded += found.excluded
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
