import keras
import numpy as np
import pytest

from trainables.training.metrics import family_f1, macro_f1

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
GUESSES = np.array([0, 0, 1, 1, 0, 2, 2, 1])


def test_macro_f1_is_keras_macro_f1_when_all_families_have_photos() -> None:
    metric = keras.metrics.F1Score(average="macro")
    metric.update_state(np.eye(3)[LABELS], np.eye(3)[GUESSES])
    assert macro_f1(LABELS, GUESSES) == pytest.approx(float(metric.result()), abs=1e-6)


def test_a_family_without_photos_in_the_split_puts_no_ceiling_on_macro_f1() -> None:
    assert macro_f1(np.array([0, 2, 2]), np.array([0, 2, 2])) == 1.0


def test_a_family_never_found_counts_zero() -> None:
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 0])) == pytest.approx(0.4)


def test_family_f1_is_nan_where_the_split_has_no_photo() -> None:
    scores = family_f1(np.array([0, 0, 2]), np.array([0, 2, 2]), classes=4)
    assert np.isnan(scores[[1, 3]]).all()
    np.testing.assert_allclose(scores[[0, 2]], 2 / 3)
