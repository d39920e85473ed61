import keras
import pytest

from trainables.schedule import learning_rate


@pytest.mark.parametrize("step", [0, 1, 37, 99, 100, 140])
def test_cosine_is_keras_cosine_decay(step: int) -> None:
    expected = float(keras.optimizers.schedules.CosineDecay(0.01, 100)(step))
    assert learning_rate("cosine", 0.01, step, 100) == pytest.approx(expected, abs=1e-8)  # Keras computes in float32


def test_constant_stays() -> None:
    assert {learning_rate("constant", 0.01, step, 100) for step in (0, 50, 100)} == {0.01}
