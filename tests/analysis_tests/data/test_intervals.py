import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from analysis.data.intervals import score_test


@pytest.fixture
def photos(example_data):
    return example_data.final.test_predictions


def test_scores_are_those_of_scikit_learn(photos):
    scores = score_test(photos, resamples=50)
    families = sorted(photos["family"].unique())
    expected = f1_score(photos["family"], photos["predicted"], labels=families, average="macro", zero_division=0)
    assert scores.macro_f1.value == pytest.approx(expected)
    assert scores.accuracy.value == pytest.approx(accuracy_score(photos["family"], photos["predicted"]))
    assert scores.photos == len(photos)


def test_the_interval_is_the_same_in_every_run_and_whatever_the_order(photos):
    again = score_test(photos.sample(frac=1, random_state=3))
    once = score_test(photos)
    assert once.accuracy == score_test(photos).accuracy
    assert once.accuracy.low == pytest.approx(again.accuracy.low, abs=0.01)


def test_the_interval_of_accuracy_is_as_wide_as_theory_says():
    rows = pd.DataFrame({"family": ["a"] * 400, "predicted": ["a"] * 300 + ["b"] * 100})
    accuracy = score_test(rows).accuracy
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.006)


def test_more_photos_make_the_interval_narrower(photos):
    few, many = score_test(photos), score_test(pd.concat([photos] * 9))
    assert many.macro_f1.high - many.macro_f1.low < 0.5 * (few.macro_f1.high - few.macro_f1.low)


def test_a_perfect_model_has_no_spread():
    rows = pd.DataFrame({"family": ["a", "b"] * 5, "predicted": ["a", "b"] * 5})
    assert score_test(rows).macro_f1 == (1.0, 1.0, 1.0)


def test_every_family_stays_in_every_resample():
    rows = pd.DataFrame({"family": ["a"] * 50 + ["b"], "predicted": ["a"] * 50 + ["b"]})
    assert score_test(rows).macro_f1.low == 1.0
