"""Export of the final model, each format checked against the Keras model."""

import contextlib
import importlib.util
import io
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.data.images import decode_resized
from trainables.data.shards import read_split
from trainables.device import silent_stderr
from trainables.errors import UserError
from trainables.files.output import check_free, whole_or_nothing
from trainables.inference.decoding import is_decodable
from trainables.inference.formats import FORMATS, Format, SavedModel
from trainables.inference.keras_model import BATCH, Classifier, load_classifier
from trainables.inference.origin import origin_of

PHOTOS = 16
ENCODED = 96  # files that a format decodes itself
TOLERANCE = 1e-4  # of a probability, from the Keras model's; converters fold and reorder: 1e-6 is usual


class Decoded(NamedTuple):
    """What a format that decodes photos itself makes of `photos` of the dataset's, against Pillow's pixels.

    `otherwise` have another likeliest family; `difference` is the largest of a probability; `unread` are further ones
    of a kind that TensorFlow does not read.
    """

    photos: int
    otherwise: int
    difference: float
    unread: int


class Exported(NamedTuple):
    """A written format, and how far its probabilities were from the Keras model's at most."""

    path: Path
    megabytes: float
    photos: int
    difference: float
    decoded: Decoded | None = None


class Exports(NamedTuple):
    """What was written, and by format why another one was not."""

    written: list[Exported]
    failed: dict[str, str]


def export(model: Path, formats: Sequence[str], out: Path, decode: bool = False) -> Exports:
    """Write a final stage's model into the new folder `out` in each of `formats`, read each back and compare.

    A format that cannot be converted, has other labels or predicts otherwise is not kept; the others are. With
    `decode`, a SavedModel also takes photo files as they are.

    Raises:
        UserError: a format's packages are not installed, `out` is not free, or no format was written; nothing is kept
            then.
    """
    for name in formats:
        if missing := [each for each in FORMATS[name].packages if importlib.util.find_spec(each) is None]:
            raise UserError(f"--format {name}: needs {', '.join(missing)}; pip install -r {FORMATS[name].requirements}")
    if decode and "saved_model" not in formats:
        raise UserError(f"--decode: is for --format saved_model, not for {' '.join(formats)}")
    check_free(out)
    kinds: dict[str, Format] = FORMATS | ({"saved_model": SavedModel(decode=True)} if decode else {})
    classifier = load_classifier(model)
    labels = json.dumps(classifier.labels.model_dump(mode="json"), ensure_ascii=False)
    photos = _some_photos(model)
    pixels = _some_pixels(photos[:PHOTOS], classifier.labels.image_size)
    expected = np.asarray(classifier.model.predict_on_batch(pixels))
    exports = Exports([], {})
    with whole_or_nothing(out) as folder:
        for name in dict.fromkeys(formats):
            kind = kinds[name]
            path = folder / kind.file
            try:
                difference = _written(kind, classifier.model, path, labels, pixels, expected)
            except UserError as error:
                exports.failed[name] = str(error)
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)
                continue
            size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
            decoded = _decoded(kind, classifier, path, photos) if decode and isinstance(kind, SavedModel) else None
            exports.written.append(Exported(out / path.name, size / 1e6, len(pixels), difference, decoded))
        if not exports.written:
            raise UserError(failures(exports.failed))
    return exports


def failures(failed: Mapping[str, str]) -> str:
    """Say on one line which formats were not written, and why."""
    return "; ".join(f"{name}: {why}" for name, why in failed.items())


def _written(kind: Format, model: Any, path: Path, labels: str, pixels: Any, expected: Any) -> float:
    """Write a format and return by how much its probabilities differ from those `expected`, at most.

    Raises:
        UserError: it cannot be written or read back, or is not the same model; the line says why.
    """
    try:
        # Converters talk at length: on both streams, from native code, in warnings.
        quiet = warnings.catch_warnings(action="ignore")
        with silent_stderr(), contextlib.redirect_stdout(io.StringIO()), quiet:
            kind.write(model, path)
            kind.attach(labels, path)
            found, labels_found = np.asarray(kind.read(path)(pixels)), kind.labels(path)
    except Exception as error:  # They raise whatever their parts raise.
        raise UserError(f"this model cannot be converted: {' '.join(str(error).split())[:300]}") from error
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:  # A NaN is not.
        raise UserError(f"its probabilities differ from model.keras by up to {difference:.2g}; it is not kept")
    if labels_found != labels:
        raise UserError("its labels are not those of model.keras; it is not kept")
    return difference


def _decoded(kind: SavedModel, classifier: Classifier, path: Path, photos: Sequence[bytes]) -> Decoded | None:
    """Compare what it makes of photo files with what the Keras model makes of Pillow's pixels; None without photos."""
    readable = [photo for photo in photos if is_decodable(photo)]
    if not readable:
        return None
    pixels = np.stack([decode_resized(photo, classifier.labels.image_size) for photo in readable])
    expected, answer = np.asarray(classifier.model.predict(pixels, verbose=0)), kind.read_encoded(path)
    found = np.concatenate([answer(readable[start : start + BATCH]) for start in range(0, len(readable), BATCH)])
    otherwise = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    difference = float(np.abs(found - expected).max())
    return Decoded(len(readable), otherwise, difference, len(photos) - len(readable))


def _some_photos(model: Path) -> list[bytes]:
    """Validation photos as they are stored, where the final stage's dataset can be reached, at most `ENCODED`."""
    with contextlib.suppress(UserError):
        dataset, _ = origin_of(model)
        return [photo.image for photo, _ in zip(read_split(dataset, "validation"), range(ENCODED), strict=False)]
    return []


def _some_pixels(photos: Sequence[bytes], size: int) -> npt.NDArray[np.uint8]:
    """The photos' pixels, or drawn ones where there are none; uint8 [n, size, size, 3]."""
    if photos:
        return np.stack([decode_resized(photo, size) for photo in photos])
    coarse = np.random.default_rng(0).integers(0, 256, (PHOTOS, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(-(-size // 8), axis=1).repeat(-(-size // 8), axis=2)[:, :size, :size]
