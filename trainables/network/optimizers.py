"""Optimizers; Adam and AdamW take one pass over the memory.

The rule is that of Keras' own, which take about ten passes.
Tails have millions of weights on small feature maps, so that reading and writing weights, gradients and moments is a
good part of a step. TensorFlow's `ResourceApplyAdam` does all of it in one kernel.
"""

from typing import Any

import keras
import tensorflow as tf


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


def make_optimizer(name: str) -> Any:
    """Return the optimizer that Keras calls `name`, with Keras' defaults, in its fastest form."""
    fused = {"adam": FusedAdam, "adamw": FusedAdamW}
    return fused[name]() if name in fused else keras.optimizers.get(name)
