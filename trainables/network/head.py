"""Classification head: what it reads of the backbone, and its layers in the finished Keras model."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from trainables.config import TrialConfig
from trainables.network.cut import block_ends

LAST_DEPTHS = 4


def head_depths(base: Any, config: TrialConfig) -> tuple[str, ...]:
    """The operations whose pooled outputs the head reads; empty for the study's head, which reads the last alone."""
    if config.head == "study":
        return ()
    return tuple(config.depths) if config.depths else block_ends(base)[-LAST_DEPTHS:]


def pooled_backbone(base: Any, depths: Sequence[str]) -> Any:
    """The backbone with pooling behind it: its layers are the base's own, not copies.

    Returns:
        A Keras model from scaled pixels, float32 [n, size, size, 3], to the global averages of the last output or, one
        after the other, of those of `depths`: float32 [n, channels].
    """
    import keras

    if not depths:
        return keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(base.output), name=base.name)
    outputs = {operation.name: operation.output for operation in base.operations}
    pooled = [keras.layers.GlobalAveragePooling2D()(outputs[name]) for name in depths]
    joined = keras.layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0]
    return keras.Model(base.input, joined, name=base.name)


def head_layers(
    config: TrialConfig,
    classes: int,
    standard: Sequence[Any] | None = None,
    *,
    suffix: str = "",
    activation: str = "softmax",
) -> list[Any]:
    """The layers from pooled features to probabilities, float32 [n, classes]; those with weights are not built.

    `standard` are mean and deviation of the features, float32 [channels] each; None leaves them as they are. `suffix`
    ends the names; `activation` is the last layer's.
    """
    import keras

    layers: list[Any] = []
    if standard is not None:
        mean, deviation = standard
        layers.append(keras.layers.Normalization(mean=mean, variance=deviation**2, name=f"standardise{suffix}"))
    layers.append(keras.layers.Dropout(config.dropout))
    decay = keras.regularizers.L2(config.l2)
    if config.dense_units:
        hidden = keras.layers.Dense(config.dense_units, "relu", kernel_regularizer=decay, name=f"hidden{suffix}")
        layers.append(hidden)
        layers.append(keras.layers.Dropout(config.dropout))
    last = None if config.dense_units else decay
    layers.append(keras.layers.Dense(classes, activation, kernel_regularizer=last, name=f"probabilities{suffix}"))
    return layers


def head_parameters(channels: int, config: TrialConfig, classes: int) -> int:
    """How many numbers a head on so many channels holds, those that standardise included."""
    standard = 2 * channels if config.head == "depths" else 0
    widths = [channels, *filter(None, [config.dense_units]), classes]
    return standard + sum((given + 1) * made for given, made in pairwise(widths))
