"""Faster forms of Keras layers and optimizers: other arithmetic, same results.

A convolution with a 1 × 1 kernel is a matrix product over channels. Computed so, it costs about 15 % less on a CPU
(a quarter less in bfloat16) on feature maps of a few pixels, where kernels are larger than what they are applied to and
laying them out anew for every batch is a good part of the work. Wider kernels meet mostly padding on such maps, and
oneDNN takes long for their gradient, in bfloat16 above all; tests/benchmarks/LOG.md has the figures.

Tails have millions of weights on small feature maps, so that reading and writing weights, gradients and moments is a
good part of a step. Keras' Adam and AdamW take about ten passes over them; TensorFlow's `ResourceApplyAdam` does all of
it in one kernel.
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


class SmallMapConv2D(keras.layers.Conv2D):
    """Keras' Conv2D with stride 1 and "same" padding, whose kernel's gradient on small maps is a product for each tap.

    A tap (a position in the kernel) meets only those pixels whose neighbour it is: what it meets of the padding is left
    out, two fifths of a 3 × 3 kernel's work on a map of 3 × 3 pixels. On GPUs it is Keras' own: not measured there.
    """

    MOST_PIXELS = 64  # Of a map: InceptionV3's last blocks at 299 px. On larger ones oneDNN is as fast in float32.

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return float [n, h, w, filters] for float [n, h, w, channels]."""
        height, width = inputs.shape[1:3]
        small = height is not None and width is not None and height * width <= self.MOST_PIXELS
        if not small or tf.config.list_physical_devices("GPU"):
            return super().convolution_op(inputs, kernel)
        return _convolve(inputs, tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _convolve(inputs: Any, kernel: Any) -> Any:
    """Stride 1 and "same" padding: float [n, h, w, channels] to [n, h, w, filters]; h and w are known."""

    def gradients(upstream: Any) -> tuple[Any, Any]:
        of_inputs = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(inputs), filter=kernel, out_backprop=upstream, strides=[1, 1, 1, 1], padding="SAME"
        )
        rows, columns, channels, filters = kernel.shape
        height, width = inputs.shape[1:3]
        taps = []
        for down in range(-((rows - 1) // 2), rows // 2 + 1):
            for right in range(-((columns - 1) // 2), columns // 2 + 1):
                (below, above), (beside, before) = _overlap(height, down), _overlap(width, right)
                pixels = tf.reshape(inputs[:, below, beside], [-1, channels])
                taps.append(tf.matmul(pixels, tf.reshape(upstream[:, above, before], [-1, filters]), transpose_a=True))
        return of_inputs, tf.reshape(tf.stack(taps), kernel.shape)

    return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradients


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Where a side of `size` pixels, shifted, lies on itself: in the shifted one and in the other, empty where not."""
    shift = max(-size, min(size, shift))
    return slice(max(0, shift), size + min(0, shift)), slice(max(0, -shift), size - max(0, shift))


class Passed(keras.layers.Layer):
    """Stands where a batch normalisation was that its convolution computes too."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the inputs."""
        return inputs


def copy_part(part: Any, precision: str, *, folded: bool = False) -> Any:
    """Copy a functional Keras model; what is trained in the copy leaves the original as it is.

    Args:
        precision: "float32"; or "bfloat16" or "float16", with which the copy computes so, but for its weights and
            batch normalisation, which stay float32 (Micikevicius et al. 2018, "Mixed Precision Training").
        folded: for inference only: a convolution does what the batch normalisation behind it would (Jacob et al. 2018,
            section 3.2), which in bfloat16 on a CPU saves two passes in float32 over each map: a seventh of the time.
    """
    policy = precision if precision == "float32" else f"mixed_{precision}"
    norms = _norms(part) if folded else {}
    bearing = {convolution.name for convolution in norms.values()}

    def copy_operation(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):  # ConvNeXt adds with a bare `+`, which has no dtype of its own.
            return type(layer).from_config(layer.get_config())
        if layer.name in norms:
            return Passed(name=layer.name, dtype=policy)
        bias = {"use_bias": True} if layer.name in bearing else {}
        return _fastest(layer).from_config({**layer.get_config(), "dtype": policy, **bias})

    copy = keras.models.clone_model(part, clone_function=copy_operation)
    if not folded:
        copy.set_weights(part.get_weights())
        return copy
    for layer in part.layers:
        if layer.weights and layer.name not in bearing and layer.name not in norms:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    for name, convolution in norms.items():
        copy.get_layer(convolution.name).set_weights(_folded(convolution, part.get_layer(name)))
    return copy


def _norms(part: Any) -> dict[str, Any]:
    """The batch normalisations behind a plain convolution that nothing else reads: name to that convolution."""
    found = {}
    for layer in part.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer._inbound_nodes:
            before = layer._inbound_nodes[0].input_tensors[0]._keras_history.operation
            if _is_plain(before) and before.activation is keras.activations.linear and len(before._outbound_nodes) == 1:
                found[layer.name] = before
    return found


def _folded(convolution: Any, norm: Any) -> list[Any]:
    """Kernel and bias of a convolution with the batch normalisation behind it, in inference."""
    kernel = tf.convert_to_tensor(convolution.kernel)
    bias = tf.convert_to_tensor(convolution.bias) if convolution.use_bias else 0.0
    scale = tf.math.rsqrt(tf.convert_to_tensor(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        scale *= tf.convert_to_tensor(norm.gamma)
    shift = tf.convert_to_tensor(norm.beta) if norm.center else 0.0
    return [(kernel * scale).numpy(), ((bias - norm.moving_mean) * scale + shift).numpy()]


def _fastest(layer: Any) -> Any:
    """The class that computes what the layer does."""
    if not _is_plain(layer) or (*layer.strides, *layer.dilation_rate, layer.groups) != (1,) * 5:
        return type(layer)
    if tuple(layer.kernel_size) == (1, 1):
        return PointwiseConv2D
    return SmallMapConv2D if layer.padding == "same" else type(layer)


def _is_plain(layer: Any) -> bool:
    """Whether a layer is Keras' own Conv2D, channels last: what is known here of its arithmetic holds."""
    return type(layer) is keras.layers.Conv2D and layer.data_format == "channels_last"


class _OnePass:
    """Replaces the update of one variable in Keras' Adam."""

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update `variable` and its two moments, in place."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class FusedAdam(_OnePass, keras.optimizers.Adam):
    """Keras' Adam, for dense float32 gradients."""


class FusedAdamW(_OnePass, keras.optimizers.AdamW):
    """Keras' AdamW, for dense float32 gradients."""
