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

from trainables.data.dataset import open_dataset
from trainables.data.images import decode_resized
from trainables.data.shards import read_split
from trainables.device import silent_stderr
from trainables.errors import UserError
from trainables.files.experiment import METRICS_FILE
from trainables.files.output import check_free, whole_or_nothing
from trainables.inference.formats import FORMATS, Format
from trainables.inference.keras_model import load_classifier

PHOTOS = 16
TOLERANCE = 1e-4  # of a probability, from the Keras model's; converters fold and reorder: 1e-6 is usual


class Exported(NamedTuple):
    """A written format, and how far its probabilities were from the Keras model's at most."""

    path: Path
    megabytes: float
    photos: int
    difference: float


class Exports(NamedTuple):
    """What was written, and by format why another one was not."""

    written: list[Exported]
    failed: dict[str, str]


def export(model: Path, formats: Sequence[str], out: Path) -> Exports:
    """Write a final stage's model into the new folder `out` in each of `formats`, read each back and compare.

    A format that cannot be converted, has other labels or predicts otherwise is not kept; the others are.

    Raises:
        UserError: a format's packages are not installed, `out` is not free, or no format was written; nothing is kept
            then.
    """
    for name in formats:
        if missing := [each for each in FORMATS[name].packages if importlib.util.find_spec(each) is None]:
            raise UserError(f"--format {name}: needs {', '.join(missing)}; pip install -r {FORMATS[name].requirements}")
    check_free(out)
    classifier = load_classifier(model)
    labels = json.dumps(classifier.labels.model_dump(mode="json"), ensure_ascii=False)
    pixels = _some_pixels(model if model.is_dir() else model.parent, classifier.labels.image_size)
    expected = np.asarray(classifier.model.predict_on_batch(pixels))
    exports = Exports([], {})
    with whole_or_nothing(out) as folder:
        for name in dict.fromkeys(formats):
            path = folder / FORMATS[name].file
            try:
                difference = _written(FORMATS[name], classifier.model, path, labels, pixels, expected)
            except UserError as error:
                exports.failed[name] = str(error)
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)
                continue
            size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
            exports.written.append(Exported(out / path.name, size / 1e6, len(pixels), difference))
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


def _some_pixels(folder: Path, size: int) -> npt.NDArray[np.uint8]:
    """Validation photos where the final stage's dataset can be reached, else drawn ones; uint8 [n, size, size, 3]."""
    with contextlib.suppress(OSError, ValueError, KeyError, UserError):
        dataset = open_dataset(json.loads((folder / METRICS_FILE).read_text())["dataset"]["folder"])
        photos = [photo.image for photo, _ in zip(read_split(dataset, "validation"), range(PHOTOS), strict=False)]
        return np.stack([decode_resized(photo, size) for photo in photos])
    coarse = np.random.default_rng(0).integers(0, 256, (PHOTOS, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(-(-size // 8), axis=1).repeat(-(-size // 8), axis=2)[:, :size, :size]
