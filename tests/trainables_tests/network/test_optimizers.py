import keras
import numpy as np
import pytest
import tensorflow as tf

from trainables.network.optimizers import make_optimizer


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_pass_gives_the_weights_and_moments_of_keras_own_rule(name: str) -> None:
    generator = np.random.default_rng(0)
    start = generator.normal(size=(5, 40)).astype(np.float32)
    gradients = generator.normal(size=(20, 5, 40)).astype(np.float32)
    ends = []
    for optimizer in (make_optimizer(name), keras.optimizers.get(name)):
        variables = [keras.Variable(start), keras.Variable(start[0])]
        optimizer.build(variables)
        for number, gradient in enumerate(gradients):
            optimizer.learning_rate.assign(0.01 / (1 + number))
            optimizer.apply([tf.constant(gradient), tf.constant(gradient[0])], variables)
        ends.append([variable.numpy() for variable in [*variables, *optimizer.variables]])
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["rmsprop", "sgd"])
def test_other_optimizers_are_keras_own(name: str) -> None:
    assert type(make_optimizer(name)) is type(keras.optimizers.get(name))
