"""Export formats that need no Keras, one class each.

A new format is a class here and its place in `FORMATS`: the command's choices and help, the checks of an export and the
contract test follow from it. --help imports this module, so heavy packages are imported inside.
"""

import os
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from trainables.files.experiment import LABELS_FILE

Predict = Callable[[Any], Any]
"""Pixels uint8 [n, size, size, 3], RGB 0..255, to probabilities float32 [n, classes]."""


class Format(ABC):
    """An export format.

    `file` is the name of its file or folder, `reader` who reads it, as help says; `packages` are those that it needs
    on top of requirements.txt, pinned in the file `requirements`. A format without such packages is written by default.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    reader: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    requirements: ClassVar[str] = ""

    @abstractmethod
    def write(self, model: Any, path: Path) -> None:
        """Write a Keras model, pixels to probabilities."""

    @abstractmethod
    def read(self, path: Path) -> Predict:
        """Read the model back by what its users have: no Keras."""

    @abstractmethod
    def attach(self, labels: str, path: Path) -> None:
        """Put the labels, as JSON, where the format keeps such things."""

    @abstractmethod
    def labels(self, path: Path) -> str:
        """Read the labels back."""


class SavedModel(Format):
    """TensorFlow's own; the labels lie in its assets.extra.

    With `decode` it has a second signature, `encoded`: the bytes of photo files, string [n], to probabilities.
    """

    name, file, reader = "saved_model", "saved_model", "TensorFlow Serving"

    def __init__(self, decode: bool = False) -> None:
        self._decode = decode

    def write(self, model: Any, path: Path) -> None:
        """See Format."""
        import tensorflow as tf

        pixels = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="pixels")
        module = tf.Module()
        # Not by Keras, which writes every weight twice.
        module.weights = [variable.value for variable in model.variables]
        module.serve = tf.function(lambda pixels: model(pixels, training=False), input_signature=[pixels])
        signatures = {"serving_default": module.serve}
        if self._decode:
            from trainables.inference.decoding import decoding

            module.encoded = decoding(model, model.input_shape[1])
            signatures["encoded"] = module.encoded
        tf.saved_model.save(module, str(path), signatures=signatures)

    def read(self, path: Path) -> Predict:
        """See Format."""
        import tensorflow as tf

        served = self._signature(path, "serving_default")
        return lambda pixels: next(iter(served(tf.constant(pixels, tf.float32)).values())).numpy()

    def read_encoded(self, path: Path) -> Callable[[Sequence[bytes]], Any]:
        """The signature `encoded`: bytes of photo files to probabilities float32 [n, classes]."""
        import tensorflow as tf

        served = self._signature(path, "encoded")
        return lambda photos: next(iter(served(tf.constant(list(photos), tf.string)).values())).numpy()

    def _signature(self, path: Path, name: str) -> Any:
        import tensorflow as tf

        with tempfile.TemporaryDirectory() as folder:  # TensorFlow takes "[1]" in a path for a pattern.
            link = Path(folder) / self.file
            link.symlink_to(path.absolute())
            return tf.saved_model.load(link).signatures[name]

    def attach(self, labels: str, path: Path) -> None:
        """See Format."""
        (path / "assets.extra").mkdir()
        (path / "assets.extra" / LABELS_FILE).write_text(labels, encoding="utf-8")

    def labels(self, path: Path) -> str:
        """See Format."""
        return (path / "assets.extra" / LABELS_FILE).read_text(encoding="utf-8")


class _TFLite(Format):
    """TFLite (LiteRT), written by Keras; the labels are a file zipped into it, as in TensorFlow Lite metadata."""

    name, file, reader = "tflite", "model.tflite", "phones"

    def write(self, model: Any, path: Path) -> None:
        model.export(path, format="litert", verbose=False)

    def read(self, path: Path) -> Predict:
        import tensorflow as tf

        interpreter = tf.lite.Interpreter(str(path))
        given, answered = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

        def predict(pixels: Any) -> Any:
            interpreter.resize_tensor_input(given, pixels.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(given, pixels.astype("float32"))
            interpreter.invoke()
            return interpreter.get_tensor(answered)

        return predict

    def attach(self, labels: str, path: Path) -> None:
        with zipfile.ZipFile(path, "a") as appended:  # Readers of the model stop before it.
            appended.writestr(LABELS_FILE, labels)

    def labels(self, path: Path) -> str:
        with zipfile.ZipFile(path) as inside:
            return inside.read(LABELS_FILE).decode()


class _Onnx(Format):
    """ONNX, written by tf2onnx; the labels are the metadata property "labels"."""

    name, file, reader = "onnx", "model.onnx", "ONNX Runtime"
    packages, requirements = ("tf2onnx", "onnx", "onnxruntime"), "requirements-onnx.txt"

    def write(self, model: Any, path: Path) -> None:
        from trainables.inference.onnx_form import portable

        # Else tf2onnx copies the whole graph, weights and all, before each of its dozens of optimisations.
        with patch.dict(os.environ, TF2ONNX_CATCH_ERRORS="FALSE"):
            portable(model).export(path, format="onnx", verbose=False)

    def read(self, path: Path) -> Predict:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda pixels: session.run(None, {name: pixels.astype("float32")})[0]

    def attach(self, labels: str, path: Path) -> None:
        import onnx

        written = onnx.load(path)
        onnx.helper.set_model_props(written, {"labels": labels})
        onnx.save(written, path)

    def labels(self, path: Path) -> str:
        import onnx

        return {each.key: str(each.value) for each in onnx.load(path).metadata_props}["labels"]


FORMATS: dict[str, Format] = {each.name: each for each in (SavedModel(), _TFLite(), _Onnx())}
