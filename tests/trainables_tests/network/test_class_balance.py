import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from trainables.network.class_balance import balance

COUNTS = np.array([300, 30, 5])
LABELS = np.repeat([0, 1, 2], COUNTS)


def test_class_weights_are_scikit_learns_balanced_ones() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(balance("class_weights", COUNTS).weights, expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["class_weights", "effective_number", "logit_adjustment", "none"])
def test_weights_average_one_over_the_photos(method: str) -> None:
    assert balance(method, COUNTS).weights[LABELS].mean() == pytest.approx(1, rel=1e-6)


def test_effective_number_lies_between_no_weights_and_class_weights() -> None:
    full, effective = (balance(name, COUNTS).weights for name in ("class_weights", "effective_number"))
    assert 1 < effective[2] / effective[0] < full[2] / full[0]


def test_logit_adjustment_adds_the_log_prior_and_no_weights() -> None:
    adjusted = balance("logit_adjustment", COUNTS)
    np.testing.assert_allclose(adjusted.logit_offsets, np.log(COUNTS / COUNTS.sum()), rtol=1e-6)
    np.testing.assert_array_equal(adjusted.weights, np.ones(3))


@pytest.mark.parametrize("method", ["class_weights", "effective_number", "logit_adjustment", "none"])
def test_a_family_without_training_photos_gives_finite_numbers(method: str) -> None:
    result = balance(method, np.array([10, 0, 5]))
    assert np.isfinite(result.weights).all()
    assert np.isfinite(result.logit_offsets).all()
    assert result.weights[1] == 0


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="magic"):
        balance("magic", COUNTS)
