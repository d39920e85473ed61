import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainables_tests.training_example import random_backbone
from trainables.network.fast_layers import Passed, PointwiseConv2D, SmallMapConv2D, copy_part


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
    base = random_backbone(backbone, 32)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(
        copy_part(base, "float32")(pixels, training=False), base(pixels, training=False), atol=1e-4
    )


@pytest.mark.parametrize("backbone", ["inception_v3", "mobilenet_v2", "densenet121", "efficientnet_v2_b0"])
def test_a_folded_copy_computes_the_same_without_the_normalisations_behind_convolutions(backbone: str) -> None:
    base = random_backbone(backbone, 75)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # As trained ones have them: away from 0 and 1.
            draw = np.random.default_rng(len(layer.name)).uniform
            layer.set_weights([draw(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 75, 75, 3)).astype("float32")
    copy, expected = copy_part(base, "float32", folded=True), base(pixels, training=False).numpy()
    np.testing.assert_allclose(copy(pixels, training=False), expected, atol=2e-5 * np.abs(expected).max())
    assert any(isinstance(layer, Passed) for layer in copy.layers)
    assert copy.count_params() < base.count_params()


def test_a_normalisation_stays_where_something_else_reads_the_convolution() -> None:
    inputs = keras.Input((5, 4, 6))
    convolved = keras.layers.Conv2D(8, 3, padding="same", name="read_twice")(inputs)
    model = keras.Model(inputs, keras.layers.BatchNormalization(name="norm")(convolved) + convolved)
    copy = copy_part(model, "float32", folded=True)
    assert isinstance(copy.get_layer("norm"), keras.layers.BatchNormalization)
    pictures = np.random.default_rng(1).normal(size=(3, 5, 4, 6)).astype("float32")
    np.testing.assert_allclose(copy(pictures), model(pictures), atol=1e-5)


@pytest.mark.parametrize("kernel", [(1, 3), (3, 1), (3, 3), (2, 2), (1, 7), (7, 4)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 3), (8, 8), (9, 8)])
def test_convolutions_of_small_maps_have_keras_gradients(kernel: tuple[int, int], size: tuple[int, int]) -> None:
    inputs = keras.Input((*size, 4))
    stock = keras.Model(inputs, keras.layers.Conv2D(5, kernel, padding="same", activation="relu")(inputs))
    copy = copy_part(stock, "float32")
    assert isinstance(copy.layers[1], SmallMapConv2D)
    pictures = tf.random.stateless_normal((3, *size, 4), (0, 1))
    (expected, expected_gradients), (got, gradients) = (_with_gradients(model, pictures) for model in (stock, copy))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert len(gradients) == 3  # Of the pictures, the kernel and the bias.
    for one, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_on_small_maps_the_kernels_gradient_is_not_the_slow_one() -> None:
    inputs = keras.Input((3, 3, 4))
    model = copy_part(keras.Model(inputs, keras.layers.Conv2D(5, 3, padding="same")(inputs)), "bfloat16")
    step = tf.function(lambda pictures: _with_gradients(model, pictures)[1])
    operations = {
        operation.type for operation in step.get_concrete_function(tf.zeros((2, 3, 3, 4))).graph.get_operations()
    }
    assert "Conv2DBackpropInput" in operations and "Conv2DBackpropFilter" not in operations


def _with_gradients(model: keras.Model, pictures: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        outputs = tf.cast(model(pictures), tf.float32)
        loss = tf.reduce_sum(tf.sin(outputs))
    return outputs, tape.gradient(loss, [pictures, *model.trainable_variables])
