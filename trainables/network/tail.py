"""Trainable tail of a backbone behind a cut, with the classification head.

It is compiled once for its cut and optimizer, and used by many trials: learning rate, dropout, L2, label smoothing,
class weights and the head's weights, however many, are arguments of the compiled step, not constants of its graph.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.network.cut import Cut, clone_tail, is_batch_norm

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


class TailBackbone:
    """The backbone behind a cut, with one compiled step for heads of all widths: to trace it takes a second.

    The head's weights are arguments of the step, which returns their gradients; its own it updates itself.
    """

    def __init__(self, base: Any, cut: Cut, classes: int, optimizer: str, precision: str = "float32") -> None:
        """Args: `precision` is what it computes in; weights, optimizer, head and loss are always float32."""
        import tensorflow as tf

        self.model = clone_tail(base, cut, precision)
        self.channels, self.classes = int(base.output.shape[-1]), classes
        self.layers = [] if self.model is None else self.model.layers
        self.variables = [] if self.model is None else self.model.trainable_variables
        # What BatchNorm layers update while they train; nothing where all of them are frozen.
        training = [layer for layer in self.layers if is_batch_norm(layer) and layer.trainable]
        self.statistics = [variable for layer in training for variable in (layer.moving_mean, layer.moving_variance)]
        self._base = base
        self.optimizer = OptimizerState(optimizer, self.variables)
        crossing = [(None, self.channels)] if self.model is None else [tensor.shape for tensor in self.model.inputs]
        self.input_shapes = [tuple(shape[1:]) for shape in crossing]
        inputs = [tf.TensorSpec(shape, tf.float32) for shape in crossing]
        shapes = ([self.channels, None], [None], [None, classes], [classes])
        head = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        number, per_class = tf.TensorSpec([], tf.float32), tf.TensorSpec([classes], tf.float32)
        labels, seed = tf.TensorSpec([None], tf.int64), tf.TensorSpec([2], tf.int64)
        # Fixed signatures: each is traced once, whatever the size of a batch and the width of a head.
        self.step = tf.function(
            self._train_step, input_signature=[inputs, head, labels, [per_class] * 2, [number] * 4, seed]
        )
        self.forward = tf.function(self._logits, input_signature=[inputs, head])

    def reset(self) -> None:
        """Start over: the backbone's own weights, an optimizer without memory."""
        # From the base and from zeros: a copy of where each tail starts would double what a worker holds.
        for layer in self.layers:
            start = self._base.get_layer(layer.name).weights if layer.weights else []
            for variable, value in zip(layer.weights, start, strict=True):
                variable.assign(value)
        self.optimizer.reset()

    def _logits(self, inputs: list[Any], head: list[Any], dropout: Any = None, seed: Any = None) -> Any:
        import tensorflow as tf

        kernel, bias, output_kernel, output_bias = head
        features = inputs[0]
        training = dropout is not None and bool(self.statistics)
        if self.model is not None:
            # A frozen BatchNorm stays in inference mode whatever `training` says; only a backbone that is trained from
            # scratch has others. Without any, training=False keeps stochastic depth out of fine-tuning.
            features = self.model(inputs if len(inputs) > 1 else inputs[0], training=training)
            features = tf.reduce_mean(tf.cast(features, tf.float32), axis=[1, 2])
        if dropout is not None:
            features = tf.nn.experimental.stateless_dropout(features, rate=dropout, seed=seed * 2)
        features = tf.nn.relu(features @ kernel + bias)
        if dropout is not None:
            features = tf.nn.experimental.stateless_dropout(features, rate=dropout, seed=seed * 2 + 1)
        return features @ output_kernel + output_bias

    def _train_step(
        self, inputs: list[Any], head: list[Any], labels: Any, balance: list[Any], numbers: list[Any], seed: Any
    ) -> tuple[Any, Any, Any, list[Any]]:
        import tensorflow as tf

        (class_weights, offsets), (rate, dropout, l2, smoothing) = balance, numbers
        with tf.GradientTape() as tape:
            tape.watch(head)
            logits = self._logits(inputs, head, dropout, seed)
            adjusted = logits + offsets
            targets = tf.one_hot(labels, self.classes) * (1 - smoothing) + smoothing / self.classes
            weighted = tf.nn.softmax_cross_entropy_with_logits(targets, adjusted) * tf.gather(class_weights, labels)
            loss = tf.reduce_mean(weighted) + l2 * tf.reduce_sum(tf.square(head[0]))
        gradients, of_head = tape.gradient(loss, (self.variables, head))
        self.optimizer.apply(gradients, rate)
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return loss, tf.reduce_mean(cross_entropy), tf.argmax(logits, axis=-1), of_head


class OptimizerState:
    """An optimizer of some variables, of none too, whose learning rate is an argument; Adam takes one pass."""

    def __init__(self, name: str, variables: Sequence[Any]) -> None:
        import keras

        from trainables.network.fast_layers import FusedAdam, FusedAdamW

        self.name = name
        self._trained = list(variables)
        fused: dict[str, Any] = {"adam": FusedAdam, "adamw": FusedAdamW}
        self._rule = fused[name]() if name in fused else keras.optimizers.get(name)
        if self._trained:
            self._rule.build(self._trained)
        self.variables: list[Any] = self._rule.variables if self._trained else []

    def apply(self, gradients: Sequence[Any], rate: Any) -> None:
        """Take a step with gradients in the order of the variables."""
        if self._trained:
            self._rule.learning_rate.assign(rate)
            self._rule.apply(gradients, self._trained)

    def reset(self) -> None:
        """Forget all steps."""
        for variable in self.variables:  # The learning rate among them is set in every step.
            variable.assign(np.zeros(variable.shape, variable.dtype))


class Tail:
    """A `TailBackbone` and a head as one trainable unit; one trial at a time uses it, after `reset`.

    The head is the reference study's: global average pooling, dropout, dense with ReLU and L2, dropout, softmax.
    """

    def __init__(self, body: TailBackbone, dense_units: int) -> None:
        import keras
        import tensorflow as tf

        self.body = body
        self.hidden = keras.layers.Dense(dense_units, activation="relu", name="hidden")
        self.output = keras.layers.Dense(body.classes, name="logits")
        self.hidden.build((None, body.channels))
        self.output.build((None, dense_units))
        self._head = [*self.hidden.trainable_variables, *self.output.trainable_variables]
        self.variables = [*body.variables, *self._head]
        self._optimizer = OptimizerState(body.optimizer.name, self._head)
        self._weights = {**_named("weight", self.variables), **_named("statistic", body.statistics)}
        self._memory = _named("optimizer", [*body.optimizer.variables, *self._optimizer.variables])
        gradients = [tf.TensorSpec(variable.shape, tf.float32) for variable in self._head]
        self._update = tf.function(self._optimizer.apply, input_signature=[gradients, tf.TensorSpec([], tf.float32)])

    def reset(self, seed: int) -> None:
        """Start over: the backbone's own weights, a head drawn from `seed`, an optimizer without memory."""
        import keras

        self.body.reset()
        for index, layer in enumerate((self.hidden, self.output)):
            kernel = keras.initializers.GlorotUniform(seed=2 * seed + index)
            layer.kernel.assign(kernel(layer.kernel.shape))
            layer.bias.assign(np.zeros(layer.bias.shape, np.float32))
        self._optimizer.reset()

    def train_batch(
        self, inputs: Sequence[Any], labels: Array, balance: tuple[Array, Array], settings: StepSettings
    ) -> tuple[Any, ...]:
        """Take one optimizer step.

        Args:
            inputs: float32 tensors or arrays [batch, ...] from `Features.batch`.
            labels: int64 [batch].
            balance: what multiplies a photo's loss and what is added to its logits, float32 [classes] each.

        Returns:
            Tensors: the batch's loss (weighted, with L2), its mean cross-entropy (without either), the predicted
            classes, int64 [batch].
        """
        import tensorflow as tf

        numbers = [tf.constant(value, tf.float32) for value in settings[:4]]
        seed = tf.constant([settings.seed, settings.step], tf.int64)
        inputs = [tf.convert_to_tensor(value) for value in inputs]
        *result, gradients = self.body.step(
            inputs, self._head_values(), tf.constant(labels), list(balance), numbers, seed
        )
        self._update(gradients, numbers[0])
        return tuple(result)

    def predict_batch(self, inputs: Sequence[Any]) -> Array:
        """Logits without dropout, float32 [batch, classes]."""
        import tensorflow as tf

        values = [tf.convert_to_tensor(value) for value in inputs]
        logits: Array = self.body.forward(values, self._head_values()).numpy()
        return logits

    def l2_penalty(self, l2: float) -> float:
        """What L2 adds to the loss at present."""
        return float(l2 * np.square(self.hidden.kernel.numpy()).sum())

    def state(self) -> State:
        """All that training changes: the trained weights and the optimizer's memory."""
        return {**self.weights(), **{name: variable.numpy() for name, variable in self._memory.items()}}

    def weights(self) -> State:
        """The trained weights alone, with the moving statistics of BatchNorm layers that train."""
        return {name: variable.numpy() for name, variable in self._weights.items()}

    def load(self, state: State) -> None:
        """Restore what `state` or `weights` returned."""
        for name, variable in {**self._weights, **self._memory}.items():
            if name in state:
                variable.assign(state[name])

    def _head_values(self) -> list[Any]:
        import tensorflow as tf

        return [tf.convert_to_tensor(variable) for variable in self._head]


def _named(prefix: str, variables: Sequence[Any]) -> dict[str, Any]:
    return {f"{prefix}-{index}": variable for index, variable in enumerate(variables)}
