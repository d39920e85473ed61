from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainables_tests.training_example import random_backbone
from trainables.network.cut import find_cut
from trainables.network.tail import OptimizerState, StepSettings, Tail, TailBackbone
from trainables.training.class_balance import balance

CLASSES = 4


@pytest.fixture(scope="module")
def base() -> Any:
    return random_backbone("mobilenet_v2", 32)


def train(body: TailBackbone, dense_units: int) -> dict[str, np.ndarray]:
    """Take three steps with a new head; return all that training changed."""
    tail = Tail(body, dense_units)
    tail.reset(5)
    random = np.random.default_rng(0)
    even = balance("none", np.ones(CLASSES, np.int64))
    for step in range(3):
        inputs = [random.random((8, *shape), np.float32) for shape in body.input_shapes]
        tail.train_batch(inputs, np.arange(8) % CLASSES, even, StepSettings(1e-2, 1e-2, 0.3, 1e-3, 0.1, 5, step))
    return tail.state()


@pytest.mark.parametrize("unfrozen_layers", [0, 10])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_heads_of_all_widths_share_one_compiled_step(base: Any, unfrozen_layers: int, optimizer: str) -> None:
    cut = find_cut(base, unfrozen_layers)
    shared, own = TailBackbone(base, cut, CLASSES, optimizer), TailBackbone(base, cut, CLASSES, optimizer)
    expected = train(own, 16)
    train(shared, 24)
    got = train(shared, 16)
    assert shared.step[4].experimental_get_tracing_count() == 1
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-6, err_msg=name)


def test_a_tail_goes_on_from_its_state(base: Any) -> None:
    body = TailBackbone(base, find_cut(base, 10), CLASSES, "adam")
    state = train(body, 16)
    train(body, 24)
    tail = Tail(body, 16)
    tail.reset(0)
    tail.load(state)
    for name, value in tail.state().items():
        np.testing.assert_array_equal(value, state[name], err_msg=name)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_an_optimizer_gives_the_weights_and_moments_of_keras_own_rule(name: str) -> None:
    generator = np.random.default_rng(0)
    start = generator.normal(size=(5, 40)).astype(np.float32)
    ours, theirs = ([keras.Variable(start), keras.Variable(start[0])] for _ in range(2))
    state, rule = OptimizerState(name, ours), keras.optimizers.get(name)
    rule.build(theirs)
    for number, gradient in enumerate(generator.normal(size=(20, 5, 40)).astype(np.float32)):
        gradients, rate = [tf.constant(gradient), tf.constant(gradient[0])], 0.01 / (1 + number)
        state.apply(gradients, rate)
        rule.learning_rate.assign(rate)
        rule.apply(gradients, theirs)
    for got, expected in zip([*ours, *state.variables], [*theirs, *rule.variables], strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["rmsprop", "sgd"])
def test_other_optimizers_are_keras_own(name: str) -> None:
    assert type(OptimizerState(name, [])._rule) is type(keras.optimizers.get(name))
