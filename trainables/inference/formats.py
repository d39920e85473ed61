"""The final model in formats that need no Keras: each is read back and held against the Keras model before it counts.

SavedModel and TFLite (LiteRT) are written by Keras and TensorFlow, ONNX by tf2onnx, see requirements-onnx.txt.
The labels travel where each format keeps such things: SavedModel's assets.extra, a file inside the .tflite (the
convention of TensorFlow Lite metadata), ONNX' metadata properties.
"""

import contextlib
import importlib.util
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.data.dataset import open_dataset
from trainables.data.images import decode_resized
from trainables.data.shards import read_split
from trainables.device import silent_stderr
from trainables.errors import UserError
from trainables.files.experiment import LABELS_FILE, METRICS_FILE
from trainables.files.output import check_free, whole_or_nothing
from trainables.inference.keras_model import Labels
from trainables.inference.predict import Classifier, load_classifier

Pixels = npt.NDArray[np.uint8]
Predict = Callable[[Pixels], npt.NDArray[np.float32]]

PHOTOS = 16
TOLERANCE = 1e-4
"""How far a probability may be from the Keras model's. Converters fold and reorder: 1e-6 is usual."""


class Format(NamedTuple):
    """A format: the name of its file or folder, how to write and how to read it, and the packages that it needs."""

    file: str
    write: Callable[[Any, Labels, Path], None]
    read: Callable[[Path], Predict]
    needs: tuple[str, ...] = ()


class Exported(NamedTuple):
    """A written format, and how far its probabilities were from the Keras model's at most."""

    path: Path
    megabytes: float
    photos: int
    difference: float


def export(model: Path, formats: Sequence[str], out: Path) -> list[Exported]:
    """Write a final stage's model into the new folder `out` in each of `formats`, and check each of them.

    Raises:
        UserError: a format's packages are not installed, `out` is not free, or a written model predicts otherwise;
            nothing is kept then.
    """
    for name in formats:
        missing = [package for package in FORMATS[name].needs if importlib.util.find_spec(package) is None]
        if missing:
            raise UserError(f"--format {name}: needs {', '.join(missing)}; pip install -r requirements-onnx.txt")
    check_free(out)
    classifier = load_classifier(model)
    pixels = _some_pixels(model if model.is_dir() else model.parent, classifier.labels.image_size)
    with whole_or_nothing(out) as folder:
        written = [_write_and_check(name, classifier, pixels, folder) for name in dict.fromkeys(formats)]
    return [each._replace(path=out / each.path.name) for each in written]


def _write_and_check(name: str, classifier: Classifier, pixels: Pixels, folder: Path) -> Exported:
    kind = FORMATS[name]
    path = folder / kind.file
    expected = np.asarray(classifier.model.predict_on_batch(pixels))
    try:
        # Converters talk at length, on both streams and from native code.
        with silent_stderr(), contextlib.redirect_stdout(io.StringIO()):
            kind.write(classifier.model, classifier.labels, path)
            found = kind.read(path)(pixels)
    except Exception as error:  # They raise whatever their parts raise.
        raise UserError(f"{name}: this model cannot be converted: {' '.join(str(error).split())[:300]}") from error
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:  # A NaN is not.
        raise UserError(f"{name}: its probabilities differ from model.keras by up to {difference:.2g}; it is not kept")
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return Exported(path, sum(file.stat().st_size for file in files) / 1e6, len(pixels), difference)


def _some_pixels(folder: Path, size: int) -> Pixels:
    """Validation photos where the final stage's dataset can be reached, else drawn ones; uint8 [n, size, size, 3]."""
    with contextlib.suppress(OSError, ValueError, KeyError, UserError):
        dataset = open_dataset(json.loads((folder / METRICS_FILE).read_text())["dataset"]["folder"])
        photos = [photo.image for photo, _ in zip(read_split(dataset, "validation"), range(PHOTOS), strict=False)]
        return np.stack([decode_resized(photo, size) for photo in photos])
    coarse = np.random.default_rng(0).integers(0, 256, (PHOTOS, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(-(-size // 8), axis=1).repeat(-(-size // 8), axis=2)[:, :size, :size]


def _write_saved_model(model: Any, labels: Labels, path: Path) -> None:
    model.export(path, format="tf_saved_model", verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / LABELS_FILE).write_text(_as_json(labels))


def _read_saved_model(path: Path) -> Predict:
    import tensorflow as tf

    served = tf.saved_model.load(path).signatures["serving_default"]
    return lambda pixels: np.asarray(next(iter(served(tf.constant(pixels, tf.float32)).values())))


def _write_tflite(model: Any, labels: Labels, path: Path) -> None:
    model.export(path, format="litert", verbose=False)
    with zipfile.ZipFile(path, "a") as appended:  # Readers of the model stop before it.
        appended.writestr(LABELS_FILE, _as_json(labels))


def _read_tflite(path: Path) -> Predict:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(path))
    given, answered = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def predict(pixels: Pixels) -> npt.NDArray[np.float32]:
        interpreter.resize_tensor_input(given, pixels.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given, pixels.astype(np.float32))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(answered))

    return predict


def _write_onnx(model: Any, labels: Labels, path: Path) -> None:
    model.export(path, format="onnx", verbose=False)
    import onnx

    written = onnx.load(path)
    onnx.helper.set_model_props(written, {"labels": _as_json(labels)})
    onnx.save(written, path)


def _read_onnx(path: Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {name: pixels.astype(np.float32)})[0])


def _as_json(labels: Labels) -> str:
    return json.dumps(labels.model_dump(mode="json"), ensure_ascii=False)


FORMATS = {
    "saved_model": Format("saved_model", _write_saved_model, _read_saved_model),
    "tflite": Format("model.tflite", _write_tflite, _read_tflite),
    "onnx": Format("model.onnx", _write_onnx, _read_onnx, ("tf2onnx", "onnx", "onnxruntime")),
}
