"""trainables/intervals.py: intervals that hold what they say, also where a model makes no mistake."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from trainables import intervals
from trainables.intervals import Interval, error_of_difference, resample, scores, share

RANDOM = np.random.default_rng(3)
TRUTH = np.repeat(np.arange(8), [40, 25, 15, 10, 6, 4, 3, 2])
GUESS = np.where(RANDOM.random(len(TRUTH)) < 0.7, TRUTH, RANDOM.integers(0, 8, len(TRUTH)))


def test_scores_are_those_of_scikit_learn_for_labels_and_for_names() -> None:
    found = scores(TRUTH, GUESS, resamples=50)
    assert found.macro_f1.value == pytest.approx(f1_score(TRUTH, GUESS, average="macro", zero_division=0))
    assert found.accuracy.value == pytest.approx((TRUTH == GUESS).mean())
    assert found.photos == len(TRUTH)
    names = np.array([f"family_{label}" for label in range(8)], dtype=object)
    assert scores(names[TRUTH], names[GUESS], resamples=50).macro_f1 == pytest.approx(found.macro_f1)


def test_the_interval_is_the_same_in_every_run() -> None:
    assert scores(TRUTH, GUESS) == scores(TRUTH, GUESS)


@pytest.mark.parametrize(
    ("right", "photos", "low", "high"),
    # (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n) with z = 1.96.
    [(12, 12, 0.7575, 1.0), (0, 12, 0.0, 0.2425), (27, 45, 0.4546, 0.7298), (300, 400, 0.7054, 0.7899)],
)
def test_a_share_has_wilsons_interval(right: int, photos: int, low: float, high: float) -> None:
    assert share(right, photos) == pytest.approx(Interval(right / photos, low, high), abs=1e-4)


def test_nothing_is_known_without_photos() -> None:
    value, low, high = share(0, 0)
    assert np.isnan(value) and (low, high) == (0, 1)


def test_twelve_right_of_twelve_prove_no_perfect_model() -> None:
    truth = np.repeat(np.arange(3), 4)
    found = scores(truth, truth)
    assert found.accuracy.low == pytest.approx(0.7575, abs=1e-4) and found.accuracy.wide
    assert found.macro_f1.value == found.macro_f1.high == 1
    assert 0.5 < found.macro_f1.low < 0.8


def test_two_models_that_never_differ_on_few_photos_may_still_differ() -> None:
    truth = np.repeat(np.arange(3), 4)
    _, drawn = resample(truth, [truth, truth])
    low, high = np.quantile(drawn[:, 1, 1] - drawn[:, 0, 1], [0.025, 0.975])
    assert low < -0.1 and high > 0.1


def test_more_photos_make_the_interval_narrower() -> None:
    few, many = scores(TRUTH, GUESS), scores(np.tile(TRUTH, 9), np.tile(GUESS, 9))
    assert many.macro_f1.high - many.macro_f1.low < 0.5 * (few.macro_f1.high - few.macro_f1.low)
    assert not many.macro_f1.wide


@pytest.mark.parametrize("accuracy", [0.75, 0.97])
def test_the_interval_holds_the_true_macro_f1_about_as_often_as_it_says(accuracy: float) -> None:
    """A percentile interval of the photos alone holds it 73 times in 100 at 97 %."""
    random, truth = np.random.default_rng(0), np.repeat(np.arange(10), 5)

    def answers(families: np.ndarray) -> np.ndarray:
        wrong = (families + random.integers(1, 10, len(families))) % 10
        return np.where(random.random(len(families)) < accuracy, families, wrong)

    many = np.repeat(np.arange(10), 20_000)
    true = f1_score(many, answers(many), average="macro")
    found = [scores(truth, answers(truth), resamples=200, seed=seed).macro_f1 for seed in range(120)]
    assert np.mean([low <= true <= high for _, low, high in found]) > 0.87


def test_the_error_of_a_difference_is_how_far_it_varies_over_test_sets() -> None:
    random, truth = np.random.default_rng(0), np.repeat(np.arange(4), 100)

    def answers() -> tuple[np.ndarray, np.ndarray]:
        """Of two models that make three in four mistakes together: the difference varies less than either does."""
        wrong = random.random(len(truth)) < 0.2
        other, alone = (truth + random.integers(1, 4, len(truth))) % 4, random.random((2, len(truth))) < 0.05
        first, second = (np.where(wrong | each, other, truth) for each in alone)
        return first, second

    def macro_f1(guess: np.ndarray) -> float:
        return float(f1_score(truth, guess, average="macro"))

    sets = [answers() for _ in range(150)]
    varies = np.std([macro_f1(second) - macro_f1(first) for first, second in sets])
    told = np.mean([error_of_difference(truth, *pair) for pair in sets[:4]])
    assert told == pytest.approx(varies, rel=0.25)
    assert told < 0.75 * np.std([macro_f1(first) for first, _ in sets])


def test_every_family_stays_in_every_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "IMAGINARY", 0)
    guess = np.array([0] * 50 + [0])
    _, drawn = resample(np.array([0] * 50 + [1]), [guess])
    assert set(np.round(drawn[:, 0, 1], 6)) == {round(100 / 101 / 2, 6)}  # 1 where the second family dropped out.


def test_two_families_of_three_photos_all_right_prove_little() -> None:
    truth = np.repeat(["cat", "dog"], 3)
    found = scores(truth, truth)
    assert found.accuracy.low == pytest.approx(0.6097, abs=1e-4) and found.accuracy.high == 1
    assert found.macro_f1.low < 0.75 and found.macro_f1.high == 1


def test_photos_that_stand_alone_are_groups_of_one() -> None:
    assert scores(TRUTH, GUESS, groups=np.arange(len(TRUTH))) == scores(TRUTH, GUESS)


def test_copies_of_the_same_photos_add_no_certainty() -> None:
    """Each photo four times, in one group: the intervals are those of the photos, not half as wide."""
    groups, many = np.repeat(np.arange(len(TRUTH)), 4), (np.repeat(TRUTH, 4), np.repeat(GUESS, 4))
    once, copied, taken_apart = scores(TRUTH, GUESS), scores(*many, groups=groups), scores(*many)
    for name in ("accuracy", "macro_f1"):
        value, low, high = getattr(copied, name)
        assert (value, low, high) == pytest.approx(getattr(once, name), abs=0.02)
        apart = getattr(taken_apart, name)
        assert apart.high - apart.low < 0.65 * (high - low)


def test_where_all_are_right_as_many_photos_count_as_there_are_groups() -> None:
    truth = np.repeat(np.arange(3), 20)
    found = scores(truth, truth, groups=np.repeat(np.arange(12), 5))
    assert found.accuracy == pytest.approx(share(12, 12))
    twelve = np.repeat(np.arange(3), 4)
    assert found.macro_f1.low == pytest.approx(scores(twelve, twelve).macro_f1.low, abs=0.1)
