"""Trainable tail of a backbone behind a cut, with the classification head.

It is compiled once for its cut and optimizer, and used by many trials: learning rate, dropout, L2, label smoothing,
class weights and the head's weights, however many, are arguments of the compiled step, not constants of its graph.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.network.cut import Cut, clone_tail, is_batch_norm, is_pooled, pooled_at, tensors_at

Array = npt.NDArray[Any]
State = dict[str, Array]


class StepSettings(NamedTuple):
    """What one training step depends on besides its batch; all become tensors."""

    learning_rate: float
    head_learning_rate: float
    dropout: float
    l2: float
    label_smoothing: float
    seed: int
    step: int


class TailBackbone:
    """The backbone behind a cut, with one compiled step for heads of all widths: to trace it takes a second.

    The head's weights are arguments of the step, which returns their gradients; its own it updates itself. A head
    with a dense layer (four arrays: kernel and bias twice) and one without (two) each have a step, traced when used.
    """

    def __init__(self, base: Any, cut: Cut, classes: int, optimizer: str, precision: str = "float32") -> None:
        """Args: `precision` is what it computes in; weights, optimizer, head and loss are always float32."""
        import tensorflow as tf

        self.model = clone_tail(base, cut, precision)
        self.cut, self.classes = cut, classes
        crossing = tensors_at(base, cut.name)
        self.input_shapes = [tuple(tensor.shape[1:]) for tensor in crossing]
        outputs = {operation.name: int(operation.output.shape[-1]) for operation in base.operations}
        self.channels = sum(outputs[name] for name in cut.depths) or int(base.output.shape[-1])
        self.layers = [] if self.model is None else self.model.layers
        self.variables = [] if self.model is None else self.model.trainable_variables
        # What BatchNorm layers update while they train; nothing where all of them are frozen.
        training = [layer for layer in self.layers if is_batch_norm(layer) and layer.trainable]
        self.statistics = [variable for layer in training for variable in (layer.moving_mean, layer.moving_variance)]
        self._base = base
        self.optimizer = OptimizerState(optimizer, self.variables)
        inputs = [tf.TensorSpec((None, *shape), tf.float32) for shape in self.input_shapes]
        standard = [tf.TensorSpec([self.channels], tf.float32)] * 2
        number, per_class = tf.TensorSpec([], tf.float32), tf.TensorSpec([classes], tf.float32)
        labels, seed = tf.TensorSpec([None], tf.int64), tf.TensorSpec([2], tf.int64)
        # Fixed signatures: each is traced once, whatever the size of a batch and the width of a head.
        self.step, self.forward = {}, {}
        for width in ([], [None]):
            sizes = [self.channels, *width, classes]
            head = [tf.TensorSpec(shape, tf.float32) for pair in pairwise(sizes) for shape in (pair, pair[1:])]
            given = [inputs, standard, head]
            self.step[len(head)] = tf.function(
                self._train_step, input_signature=[*given, labels, [per_class] * 2, [number] * 4, seed]
            )
            self.forward[len(head)] = tf.function(self._evaluate, input_signature=given)

    def reset(self) -> None:
        """Start over: the backbone's own weights, an optimizer without memory."""
        # From the base and from zeros: a copy of where each tail starts would double what a worker holds.
        for layer in self.layers:
            start = self._base.get_layer(layer.name).weights if layer.weights else []
            for variable, value in zip(layer.weights, start, strict=True):
                variable.assign(value)
        self.optimizer.reset()

    def _features(self, inputs: list[Any], training: bool) -> Any:
        """Global averages of the last output, or of all depths in their order: float32 [n, channels]."""
        import tensorflow as tf

        given = dict(zip(self.cut.parts, inputs, strict=True))
        if self.model is not None:
            crossing = [tensor for name, tensor in given.items() if not is_pooled(name)]
            # A frozen BatchNorm stays in inference mode whatever `training` says; only a backbone that is trained from
            # scratch has others. Without any, training=False keeps stochastic depth out of fine-tuning.
            maps = tf.nest.flatten(self.model(crossing if len(crossing) > 1 else crossing[0], training=training))
            pooled = [tf.reduce_mean(tf.cast(each, tf.float32), axis=[1, 2]) for each in maps]
            if not self.cut.depths:
                return pooled[0]
            given |= {pooled_at(name): each for name, each in zip(self.cut.moving, pooled, strict=True)}
        return tf.concat([given[pooled_at(name)] for name in self.cut.depths], axis=1) if self.cut.depths else inputs[0]

    def _evaluate(self, inputs: list[Any], standard: list[Any], head: list[Any]) -> tuple[Any, Any]:
        """Logits and, float32 [n], the length of what the last layer reads."""
        import tensorflow as tf

        read = self._last_inputs(inputs, standard, head)
        return read @ head[-2] + head[-1], tf.norm(read, axis=1)

    def _logits(self, inputs: list[Any], standard: list[Any], head: list[Any], dropout: Any, seed: Any) -> Any:
        return self._last_inputs(inputs, standard, head, dropout, seed) @ head[-2] + head[-1]

    def _last_inputs(
        self, inputs: list[Any], standard: list[Any], head: list[Any], dropout: Any = None, seed: Any = None
    ) -> Any:
        """What the head's last layer reads, float32 [n, channels]."""
        import tensorflow as tf

        features = self._features(inputs, dropout is not None and bool(self.statistics))
        if self.cut.depths:
            features = (features - standard[0]) / standard[1]
        for layer in range(0, len(head), 2):
            if dropout is not None:
                features = tf.nn.experimental.stateless_dropout(features, rate=dropout, seed=seed * 2 + layer // 2)
            if layer < len(head) - 2:
                features = tf.nn.relu(features @ head[layer] + head[layer + 1])
        return features

    def _train_step(
        self,
        inputs: list[Any],
        standard: list[Any],
        head: list[Any],
        labels: Any,
        balance: list[Any],
        numbers: list[Any],
        seed: Any,
    ) -> tuple[Any, Any, Any, list[Any]]:
        import tensorflow as tf

        (class_weights, offsets), (rate, dropout, l2, smoothing) = balance, numbers
        with tf.GradientTape() as tape:
            tape.watch(head)
            logits = self._logits(inputs, standard, head, dropout, seed)
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

    The head is global average pooling (standardised, where it reads several depths), dropout, dense with ReLU and L2,
    dropout, softmax; with 0 `dense_units` one dropout and softmax alone, whose kernel has the L2 then.
    """

    def __init__(self, body: TailBackbone, dense_units: int) -> None:
        import keras
        import tensorflow as tf

        self.body = body
        sizes = [body.channels, *filter(None, [dense_units]), body.classes]
        self.head = [
            keras.Variable(np.zeros(shape, np.float32)) for pair in pairwise(sizes) for shape in (pair, pair[1:])
        ]
        # Mean and deviation of the features, set at the start of a trial; a head on one output has no use for them.
        self.standard = [keras.Variable(fill(body.channels, np.float32)) for fill in (np.zeros, np.ones)]
        self.variables = [*body.variables, *self.head]
        self._optimizer = OptimizerState(body.optimizer.name, self.head)
        self._weights = {**_named("weight", self.variables), **_named("statistic", body.statistics)}
        if body.cut.depths:
            self._weights |= _named("standard", self.standard)
        self._memory = _named("optimizer", [*body.optimizer.variables, *self._optimizer.variables])
        gradients = [tf.TensorSpec(variable.shape, tf.float32) for variable in self.head]
        self._update = tf.function(self._optimizer.apply, input_signature=[gradients, tf.TensorSpec([], tf.float32)])

    def reset(self, seed: int, start: "HeadStart | None" = None) -> None:
        """Start over: the backbone's own weights, an optimizer without memory.

        The head's weights are those of `start`; without any its kernels are drawn from `seed` or, where there is but
        one, zero, from which a linear classifier is learnt as well.
        """
        import keras

        self.body.reset()
        for index, variable in enumerate(self.head):
            drawn = keras.initializers.GlorotUniform(seed=2 * seed + index // 2)
            values = drawn(variable.shape) if index % 2 == 0 and len(self.head) > 2 else np.zeros(variable.shape)
            variable.assign(start.head[index] if start and start.head else values)
        for variable, values in zip(self.standard, start.standard if start else (), strict=False):
            variable.assign(values)
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

        rate, head_rate, *others = (tf.constant(value, tf.float32) for value in settings[:5])
        seed = tf.constant([settings.seed, settings.step], tf.int64)
        *result, gradients = self.body.step[len(self.head)](
            *self._given(inputs), tf.constant(labels), list(balance), [rate, *others], seed
        )
        self._update(gradients, head_rate)
        return tuple(result)

    def predict_batch(self, inputs: Sequence[Any]) -> Array:
        """Logits without dropout, float32 [batch, classes]."""
        return self.evaluate_batch(inputs)[0]

    def evaluate_batch(self, inputs: Sequence[Any]) -> tuple[Array, Array]:
        """The same, and the length of the features that the last layer reads, float32 [batch]."""
        logits, lengths = self.body.forward[len(self.head)](*self._given(inputs))
        return logits.numpy(), lengths.numpy()

    def l2_penalty(self, l2: float) -> float:
        """What L2 adds to the loss at present."""
        return float(l2 * np.square(self.head[0].numpy()).sum())

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

    def _given(self, inputs: Sequence[Any]) -> list[list[Any]]:
        """What the compiled functions take: a batch, what standardises it, and the head's weights, as tensors."""
        import tensorflow as tf

        return [[tf.convert_to_tensor(value) for value in values] for values in (inputs, self.standard, self.head)]


class HeadStart(NamedTuple):
    """What a head begins with: mean and deviation of the features, float32 [channels] each, and its weights.

    `standard` is empty where the head reads one output; `head` holds kernel and bias, layer after layer, and is empty
    where they are drawn.
    """

    standard: Sequence[Array] = ()
    head: Sequence[Array] = ()


def _named(prefix: str, variables: Sequence[Any]) -> dict[str, Any]:
    return {f"{prefix}-{index}": variable for index, variable in enumerate(variables)}
