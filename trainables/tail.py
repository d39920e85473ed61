"""The trainable part of a network: the tail of the backbone behind a cut, and the classification head.

A tail is compiled once for its cut, width and optimizer, and used again by trial after trial: learning rate, dropout,
L2, label smoothing and class weights are arguments of the compiled step, not constants of its graph.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.cut import Cut, clone_tail, is_batch_norm
from trainables.imbalance import Balance

Array = npt.NDArray[Any]
State = dict[str, Array]


class StepSettings(NamedTuple):
    """What one training step depends on besides its batch; all become tensors."""

    learning_rate: float
    dropout: float
    l2: float
    label_smoothing: float
    seed: int
    step: int


class Tail:
    """Tail and head as one trainable unit. One trial uses it at a time, after `reset`.

    The head is the reference study's: global average pooling, dropout, dense with ReLU and L2, dropout, softmax.
    """

    def __init__(
        self, base: Any, cut: Cut, dense_units: int, classes: int, optimizer: str, precision: str = "float32"
    ) -> None:
        """Args: `precision` is the backbone's part's; weights, optimizer, head and loss are always float32."""
        import keras
        import tensorflow as tf

        from trainables.fused_adam import make_optimizer

        self.body = clone_tail(base, cut, precision)
        channels = int(base.output.shape[-1])
        self.hidden = keras.layers.Dense(dense_units, activation="relu", name="hidden")
        self.output = keras.layers.Dense(classes, name="logits")
        self.hidden.build((None, channels))
        self.output.build((None, dense_units))
        self._base = base
        body_trainable = [] if self.body is None else self.body.trainable_variables
        self.variables = [*body_trainable, *self.hidden.trainable_variables, *self.output.trainable_variables]
        self._statistics = _moving_statistics(self.body)
        self._optimizer = make_optimizer(optimizer)
        self._optimizer.build(self.variables)
        crossing = [(None, channels)] if self.body is None else [tensor.shape for tensor in self.body.inputs]
        inputs = [tf.TensorSpec(shape, tf.float32) for shape in crossing]
        number, per_class = tf.TensorSpec([], tf.float32), tf.TensorSpec([classes], tf.float32)
        labels, seed = tf.TensorSpec([None], tf.int64), tf.TensorSpec([2], tf.int64)
        # Fixed signatures: each is traced once, whatever the size of a batch.
        self._step = tf.function(
            self._train_step, input_signature=[inputs, labels, per_class, per_class, [number] * 4, seed]
        )
        self._forward = tf.function(lambda values: self._logits(values), input_signature=[inputs])

    def reset(self, seed: int) -> None:
        """Start over: the backbone's own weights, a head drawn from `seed`, an optimizer without memory."""
        import keras

        # From the base and from zeros: a copy of where each tail starts would double what a worker holds.
        for layer in [] if self.body is None else self.body.layers:
            start = self._base.get_layer(layer.name).weights if layer.weights else []
            for variable, value in zip(layer.weights, start, strict=True):
                variable.assign(value)
        for index, layer in enumerate((self.hidden, self.output)):
            kernel = keras.initializers.GlorotUniform(seed=2 * seed + index)
            layer.kernel.assign(kernel(layer.kernel.shape))
            layer.bias.assign(np.zeros(layer.bias.shape, np.float32))
        for variable in self._optimizer.variables:  # The learning rate among them is set in every step.
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def train_batch(
        self, inputs: Sequence[Any], labels: Array, balance: Balance, settings: StepSettings
    ) -> tuple[Any, ...]:
        """Take one optimizer step.

        Args:
            inputs: float32 tensors or arrays [batch, ...] from `Features.batch`.
            labels: int64 [batch].

        Returns:
            Tensors: the batch's loss (weighted, with L2), its mean cross-entropy (without either), the predicted
            classes, int64 [batch].
        """
        import tensorflow as tf

        numbers = [tf.constant(value, tf.float32) for value in settings[:4]]
        seed = tf.constant([settings.seed, settings.step], tf.int64)
        inputs = [tf.convert_to_tensor(value) for value in inputs]
        result: tuple[Any, ...] = self._step(
            inputs, tf.constant(labels), balance.weights, balance.logit_offsets, numbers, seed
        )
        return result

    def predict_batch(self, inputs: Sequence[Any]) -> Array:
        """Logits without dropout, float32 [batch, classes]."""
        import tensorflow as tf

        logits: Array = self._forward([tf.convert_to_tensor(value) for value in inputs]).numpy()
        return logits

    def l2_penalty(self, l2: float) -> float:
        """What L2 adds to the loss at present."""
        return float(l2 * np.square(self.hidden.kernel.numpy()).sum())

    def state(self) -> State:
        """All that training changes: the trained weights (BatchNorm is frozen) and the optimizer's memory."""
        return {**self.weights(), **_named("optimizer", self._optimizer.variables)}

    def weights(self) -> State:
        """The trained weights alone, with the moving statistics of BatchNorm layers that train."""
        return {**_named("weight", self.variables), **_named("statistic", self._statistics)}

    def load(self, state: State) -> None:
        """Put back what `state` or `weights` gave."""
        groups = {"weight": self.variables, "statistic": self._statistics, "optimizer": self._optimizer.variables}
        for prefix, variables in groups.items():
            for index, variable in enumerate(variables):
                if f"{prefix}-{index}" in state:
                    variable.assign(state[f"{prefix}-{index}"])

    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables)

    def _logits(self, inputs: list[Any], dropout: Any = None, seed: Any = None) -> Any:
        import tensorflow as tf

        features = inputs[0]
        training = dropout is not None and bool(self._statistics)
        if self.body is not None:
            # A frozen BatchNorm stays in inference mode whatever `training` says; only a backbone that is trained from
            # scratch has others. Without any, training=False keeps stochastic depth out of fine-tuning.
            features = self.body(inputs if len(inputs) > 1 else inputs[0], training=training)
            features = tf.reduce_mean(tf.cast(features, tf.float32), axis=[1, 2])
        if dropout is not None:
            features = tf.nn.experimental.stateless_dropout(features, rate=dropout, seed=seed * 2)
        features = self.hidden(features)
        if dropout is not None:
            features = tf.nn.experimental.stateless_dropout(features, rate=dropout, seed=seed * 2 + 1)
        return self.output(features)

    def _train_step(
        self, inputs: list[Any], labels: Any, class_weights: Any, offsets: Any, numbers: list[Any], seed: Any
    ) -> tuple[Any, Any, Any]:
        import tensorflow as tf

        rate, dropout, l2, smoothing = numbers
        with tf.GradientTape() as tape:
            logits = self._logits(inputs, dropout, seed)
            adjusted = logits + offsets
            targets = _smooth(labels, adjusted.shape[-1], smoothing)
            weighted = tf.nn.softmax_cross_entropy_with_logits(targets, adjusted) * tf.gather(class_weights, labels)
            loss = tf.reduce_mean(weighted) + l2 * tf.reduce_sum(tf.square(self.hidden.kernel))
        gradients = tape.gradient(loss, self.variables)
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply(gradients, self.variables)
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return loss, tf.reduce_mean(cross_entropy), tf.argmax(logits, axis=-1)


def _moving_statistics(body: Any | None) -> list[Any]:
    """Variables that BatchNorm layers update while they train; empty where all of them are frozen."""
    layers = [] if body is None else [layer for layer in body.layers if is_batch_norm(layer) and layer.trainable]
    return [variable for layer in layers for variable in (layer.moving_mean, layer.moving_variance)]


def _smooth(labels: Any, classes: int, smoothing: Any) -> Any:
    import tensorflow as tf

    return tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes


def _named(prefix: str, variables: Sequence[Any]) -> State:
    return {f"{prefix}-{index}": variable.numpy() for index, variable in enumerate(variables)}
