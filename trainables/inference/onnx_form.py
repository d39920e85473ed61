"""A Keras model in operations that tf2onnx 1.17 converts, with the same outputs.

EfficientNetV2 and ConvNeXt hold three kinds of layers that it cannot convert as they are.
"""

from typing import Any

import numpy as np


def portable(model: Any) -> Any:
    """Return a copy of a functional model of pixels, [n, size, size, 3], without such layers, models inside it too."""
    import keras

    copy = keras.models.clone_model(model, clone_function=_portable, recursive=True)
    _copy_weights(model, copy)
    copy(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports no model that was never called.
    return copy


def _portable(layer: Any) -> Any:
    import keras

    if isinstance(layer, keras.layers.Normalization):
        # Its constants lie outside of the graph, and would become inputs.
        mean, variance = (np.ravel(keras.ops.convert_to_numpy(each)) for each in (layer.mean, layer.variance))
        scale = 1 / np.maximum(np.sqrt(variance), keras.backend.epsilon())
        return keras.layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name=layer.name)
    if _is_depthwise(layer):
        # Keras computes a grouped convolution in a function that is compiled by XLA, of which there is no graph.
        config = layer.get_config()
        shared = ("name", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias")
        return keras.layers.DepthwiseConv2D(**{key: config[key] for key in shared})
    if isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.gelu:
        return keras.layers.Activation(_gelu, name=layer.name)
    return type(layer).from_config(layer.get_config())


def _is_depthwise(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.Conv2D) and layer.groups == layer.filters == layer.input.shape[-1] > 1


def _gelu(values: Any) -> Any:
    """The same as Keras' by the error function: TensorFlow's is by its complement, which ONNX does not have."""
    import keras

    return 0.5 * values * (1 + keras.ops.erf(values * 0.5**0.5))


def _copy_weights(model: Any, copy: Any) -> None:
    for layer in model.layers:
        weights = layer.get_weights()
        if not weights or type(layer).__name__ == "Normalization":
            continue  # Its constants stand in the configuration.
        other = copy.get_layer(layer.name)
        if hasattr(layer, "layers"):
            _copy_weights(layer, other)
        elif _is_depthwise(layer):
            other.set_weights([weights[0].transpose(0, 1, 3, 2), *weights[1:]])
        else:
            other.set_weights(weights)
