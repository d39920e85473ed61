import keras
import numpy as np
import pytest

from trainables.backbones import Weights, build_backbone
from trainables.copies import PointwiseConv2D, copy_part


@pytest.fixture(scope="module")
def part() -> keras.Model:
    inputs = keras.Input((5, 4, 6))
    pointwise = keras.layers.Conv2D(8, 1, activation="relu", name="pointwise")(inputs)
    strided = keras.layers.Conv2D(8, 1, strides=2, padding="same", name="strided")(pointwise)
    spatial = keras.layers.Conv2D(8, 3, padding="same", name="spatial")(pointwise)
    down = keras.layers.Conv2D(8, 1, strides=2, name="down")(spatial)
    model = keras.Model(inputs, strided + down)
    for variable in model.trainable_variables:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    return model


def test_only_plain_pointwise_convolutions_become_products_and_the_values_stay(part: keras.Model) -> None:
    copy = copy_part(part, "float32")
    products = {layer.name for layer in copy.layers if isinstance(layer, PointwiseConv2D)}
    assert products == {"pointwise"}
    pictures = np.random.default_rng(1).normal(size=(3, 5, 4, 6)).astype("float32")
    np.testing.assert_allclose(copy(pictures), part(pictures), atol=1e-5)


def test_a_low_precision_copy_keeps_float32_weights_and_is_near(part: keras.Model) -> None:
    copy = copy_part(part, "bfloat16")
    pictures = np.random.default_rng(1).normal(size=(3, 5, 4, 6)).astype("float32")
    expected, got = part(pictures).numpy(), np.asarray(keras.ops.cast(copy(pictures), "float32"))
    assert all(variable.dtype == "float32" for variable in copy.variables)
    assert 0 < np.abs(got - expected).mean() < 0.02 * np.abs(expected).mean()


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "convnext_tiny"])
def test_a_copy_of_a_backbone_computes_the_same(backbone: str) -> None:
    base = build_backbone(backbone, 32, Weights("random", "", "random"), 0)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(
        copy_part(base, "float32")(pixels, training=False), base(pixels, training=False), atol=1e-4
    )
