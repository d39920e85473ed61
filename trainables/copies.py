"""Copies of a part of a backbone, in the form that computes fastest: the same layers and weights, other arithmetic.

A convolution with a 1 × 1 kernel is a matrix product over channels. Said so, it alone costs about 15 % less on a CPU
(a quarter less in bfloat16) on feature maps of a few pixels, where kernels are larger than what they are applied to and
laying them out anew for every batch is a good part of the work; tests/benchmarks/LOG.md has the figures.
"""

from typing import Any

import keras
import tensorflow as tf


class PointwiseConv2D(keras.layers.Conv2D):
    """Keras' Conv2D for a 1 × 1 kernel without strides or groups, computed as a matrix product."""

    def call(self, inputs: Any) -> Any:
        """Return float [n, h, w, filters] for float [n, h, w, channels]."""
        kernel = tf.reshape(tf.convert_to_tensor(self.kernel), [-1, self.filters])
        rows = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), kernel)
        if self.use_bias:
            rows = tf.nn.bias_add(rows, tf.convert_to_tensor(self.bias))
        return self.activation(tf.reshape(rows, [-1, *inputs.shape[1:-1], self.filters]))


def copy_part(part: Any, precision: str) -> Any:
    """Copy a functional Keras model; what is trained in the copy leaves the original as it is.

    Args:
        precision: "float32"; or "bfloat16" or "float16", with which the copy computes so, but for its weights and
            batch normalisation, which stay float32 (Micikevicius et al. 2018, "Mixed Precision Training").
    """
    policy = precision if precision == "float32" else f"mixed_{precision}"

    def copy_operation(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):  # ConvNeXt adds with a bare `+`, which has no dtype of its own.
            return type(layer).from_config(layer.get_config())
        kind = PointwiseConv2D if _is_pointwise(layer) else type(layer)
        return kind.from_config({**layer.get_config(), "dtype": policy})

    copy = keras.models.clone_model(part, clone_function=copy_operation)
    copy.set_weights(part.get_weights())
    return copy


def _is_pointwise(layer: Any) -> bool:
    plain = type(layer) is keras.layers.Conv2D and layer.data_format == "channels_last"
    return plain and (*layer.kernel_size, *layer.strides, *layer.dilation_rate, layer.groups) == (1,) * 7
