from functools import partial

import numpy as np
import pandas as pd
import pytest

from analysis.render.svg import Picture
from analysis.report.sections.importance import FEWEST, describe, draw, importances

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "dropout": {"low": 0.0, "high": 0.6},
    "dense_units": [64, 128, 256],
}


def trials(count, value, seed=0):
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "trial": range(count),
            "param_learning_rate": 10 ** chance.uniform(-5, -2, count),
            "param_dropout": chance.uniform(0, 0.6, count),
            "param_dense_units": chance.choice([64, 128, 256], count),
        }
    )
    return frame.assign(value=value(frame, chance))


def by_learning_rate(frame, chance):
    return -((np.log10(frame["param_learning_rate"]) + 3) ** 2) + chance.normal(0, 0.05, len(frame))


def by_chance(frame, chance):
    return chance.random(len(frame))


def test_the_knob_that_decides_comes_first_and_is_more_than_chance():
    found = importances(trials(100, by_learning_rate), SPACE, "max")
    assert found.knobs[0] == "param_learning_rate"
    assert found.proven == ("param_learning_rate",)
    assert sum(found.shares) == pytest.approx(1)
    assert "More than chance: learning rate." in describe(found)


def test_a_loss_is_better_when_it_is_lower():
    rising = importances(trials(100, lambda frame, chance: -by_learning_rate(frame, chance)), SPACE, "min")
    assert rising.knobs[0] == "param_learning_rate"


def test_knobs_without_influence_are_rarely_called_proven():
    proven = [importances(trials(40, by_chance, seed), SPACE, "max").proven for seed in range(12)]
    assert sum(map(bool, proven)) <= 5  # each of three knobs is passed by chance 1 time in 20


def test_too_few_trials_say_nothing():
    assert importances(trials(FEWEST - 1, by_learning_rate), SPACE, "max") is None
    some = trials(FEWEST, by_learning_rate)
    assert importances(some, SPACE, "max") is not None
    assert importances(some.assign(value=some["value"].where(some["trial"] > 0)), SPACE, "max") is None


def test_trials_that_failed_do_not_count():
    some = trials(30, by_learning_rate)
    failed = some.assign(value=some["value"].where(some["trial"] % 3 > 0))
    assert importances(failed, SPACE, "max").total == 20


def test_the_same_trials_give_the_same_picture():
    first, second = (
        Picture("x", "t", "a", partial(draw, importances(trials(30, by_chance), SPACE, "max"))).narrow for _ in range(2)
    )
    assert first == second
