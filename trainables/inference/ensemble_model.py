"""Several trainings behind one cut as one plain Keras model, whose frozen part is computed once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from trainables.config import TrialConfig
from trainables.inference.keras_model import Array
from trainables.network.backbones import scaling_layer
from trainables.network.cut import POOLED, Cut, is_pooled, pooled_at, tail_part, tensors_at
from trainables.network.head import head_layers
from trainables.network.tail import Tail


class Member(NamedTuple):
    """What one training made of the part behind the cut; `weight` is its share in the mean, 0..1.

    `layers` are the weights of the backbone's layers there, by name; `standard` and `head` are as for `headed_model`.
    """

    weight: float
    layers: dict[str, list[Array]]
    standard: list[Array] | None
    head: list[Array]


def member_of(tail: Tail, weight: float) -> Member:
    """A copy of what is in the tail now."""
    layers = {layer.name: layer.get_weights() for layer in tail.body.layers if layer.weights}
    standard = [variable.numpy() for variable in tail.standard] if tail.body.cut.depths else None
    return Member(weight, layers, standard, [variable.numpy() for variable in tail.head])


def joined_logits(logits: Sequence[Array], weights: Sequence[float]) -> Array:
    """Logits of the weighted mean of probabilities, float64 [n, classes], of those of each member, [n, classes].

    Logits are known up to a number for each photo; here their log-sum-exp, the energy, is the members' mean too, so
    that one member's logits stay what they are.
    """
    each = np.asarray(logits, np.float64)
    energies = _log_sum_exp(each, 2)
    shares = np.asarray(weights, np.float64)[:, None, None]
    mean = _log_sum_exp(each - energies + np.log(shares), 0)[0]
    return np.asarray(mean + (shares * energies).sum(axis=0))


def ensemble_model(base: Any, cut: Cut, config: TrialConfig, members: Sequence[Member]) -> Any:
    """The members in one Keras model, scaling inside: RGB pixels 0..255, [n, size, size, 3], to probabilities.

    It has the form of `headed_model`'s: a backbone, with the members' parts of it side by side, then layers that end in
    a dense one with softmax. That one's inputs are already the logits of `joined_logits`, and its kernel changes
    nothing: what asks a model for the logits before its last softmax finds them. `base` stays as it is.
    """
    import keras

    classes = len(members[0].head[-1])
    backbone = _backbone(base, cut, members)
    backbone.trainable = False
    pixels = keras.Input((config.image_size, config.image_size, 3), name="pixels")
    features = backbone(scaling_layer(config.backbone)(pixels), training=False)
    features = features if isinstance(features, list) else [features] * len(members)
    logits = [
        _logits(each, member, config, f"_{number}")
        for number, (each, member) in enumerate(zip(features, members, strict=True), 1)
    ]
    last = keras.layers.Dense(classes, "softmax", name="probabilities")
    probabilities = last(_joined(logits, [member.weight for member in members]))
    last.set_weights([np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32)])
    return keras.Model(pixels, probabilities, name="raretune")


def _backbone(base: Any, cut: Cut, members: Sequence[Member]) -> Any:
    """From scaled pixels to the features of each member, a list of [n, channels]; to one, where all read the same."""
    import keras

    prefix = keras.Model(base.input, tensors_at(base, cut.name))
    trunk = keras.models.clone_model(prefix)
    trunk.set_weights(prefix.get_weights())
    given = dict(zip(cut.parts, trunk.outputs, strict=True))
    part = tail_part(base, cut)
    if part is None:
        return keras.Model(trunk.inputs[0], _pooled(cut, given), name=base.name)
    crossing = [tensor for name, tensor in given.items() if not is_pooled(name)]
    features = []
    for number, member in enumerate(members, 1):
        copy = keras.models.clone_model(part)
        for layer in copy.layers:
            if layer.weights:
                layer.set_weights(member.layers[layer.name])
        tail = keras.Model(copy.inputs if len(crossing) > 1 else copy.inputs[0], copy.outputs, name=f"member_{number}")
        maps = tail(crossing if len(crossing) > 1 else crossing[0], training=False)
        pooled = [keras.layers.GlobalAveragePooling2D()(each) for each in maps]
        names = [pooled_at(name) for name in cut.moving] or [POOLED]
        features.append(_pooled(cut, given | dict(zip(names, pooled, strict=True))))
    return keras.Model(trunk.inputs[0], features, name=base.name)


def _pooled(cut: Cut, given: dict[str, Any]) -> Any:
    """The global averages that a head reads, depth after depth: [n, channels]."""
    import keras

    parts = [given[pooled_at(name)] for name in cut.depths] or [given[POOLED]]
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]


def _logits(features: Any, member: Member, config: TrialConfig, suffix: str) -> Any:
    """A member's head on its features: [n, classes]."""
    import keras

    layers = head_layers(config, len(member.head[-1]), member.standard, suffix=suffix, activation="linear")
    for layer in layers:
        features = layer(features)
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    for layer, weights in zip(dense, zip(member.head[::2], member.head[1::2], strict=True), strict=True):
        layer.set_weights(weights)
    return features


def _joined(logits: Sequence[Any], weights: Sequence[float]) -> Any:
    """`joined_logits` in Keras: [n, classes]."""
    import keras

    shares, energies = [], []
    for each, weight in zip(logits, weights, strict=True):
        energy = keras.ops.logsumexp(each, axis=-1, keepdims=True)
        share = keras.layers.Rescaling(1.0, float(np.log(weight)))(each - energy)
        shares.append(keras.layers.Reshape((1, each.shape[-1]))(share))
        energies.append(keras.layers.Rescaling(weight)(energy))
    mean = keras.ops.logsumexp(keras.layers.Concatenate(axis=1)(shares), axis=1)
    return mean + keras.layers.Add()(energies)


def _log_sum_exp(values: Array, axis: int) -> Array:
    highest = values.max(axis=axis, keepdims=True)
    return np.asarray(highest + np.log(np.exp(values - highest).sum(axis=axis, keepdims=True)))
