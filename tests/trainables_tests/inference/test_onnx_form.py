"""trainables/inference/onnx_form.py: the same outputs by operations that ONNX has."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from trainables.inference.formats import FORMATS
from trainables.inference.onnx_form import portable


@pytest.fixture(scope="module")
def model() -> Any:
    """What EfficientNetV2 and ConvNeXt are made of, one model in another as `whole_model` has them."""
    keras.utils.set_random_seed(0)
    inside = values = keras.Input((16, 16, 3))
    values = keras.layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[60.0**2, 50.0**2, 40.0**2])(values)
    values = keras.layers.Conv2D(8, 3, strides=2)(values)
    values = keras.layers.Conv2D(8, 5, groups=8, padding="same", name="grouped")(values)
    values = keras.layers.LayerNormalization()(values)
    values = keras.layers.Activation("gelu")(values)
    values = keras.layers.Conv2D(8, 3, use_bias=False)(values)
    body = keras.Model(inside, values, name="body")
    pixels = keras.Input((16, 16, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(body(keras.layers.Rescaling(1.0)(pixels)))
    return keras.Model(pixels, keras.layers.Dense(4, activation="softmax")(pooled))


def test_a_portable_copy_answers_as_the_model_does(model: Any) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.float32)
    copy = portable(model)
    np.testing.assert_allclose(copy.predict_on_batch(photos), model.predict_on_batch(photos), atol=1e-6)
    kinds = {type(layer).__name__ for layer in copy.get_layer("body").layers}
    assert "Normalization" not in kinds and "DepthwiseConv2D" in kinds
    assert len(model.get_layer("body").get_layer("grouped").get_weights()[0].shape) == 4, "the model stays as it was"


def test_onnx_runtime_reads_what_keras_alone_could_not_convert(model: Any, tmp_path: Path) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    onnx = FORMATS["onnx"]
    onnx.write(model, tmp_path / onnx.file)
    answers = onnx.read(tmp_path / onnx.file)(photos)
    np.testing.assert_allclose(answers, model.predict_on_batch(photos.astype(np.float32)), atol=1e-5)
