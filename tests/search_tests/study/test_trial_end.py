"""search/study/trial_end.py: which trials no other beats."""

import random

import pytest

from search.study.trial_end import Mode, ScoredTrial, front

TRIALS = [
    ScoredTrial(0, 0.5, 10),
    ScoredTrial(1, 0.7, 30),
    ScoredTrial(2, 0.6, 30),
    ScoredTrial(3, 0.4, 5),
    ScoredTrial(4, 0.4, 20),
]


def test_the_front_is_what_no_other_trial_beats_at_a_cost_no_higher_best_first() -> None:
    assert [trial.number for trial in front(TRIALS, "max")] == [1, 0, 3]
    assert [trial.number for trial in front(TRIALS, "min")] == [3]


def test_of_trials_that_are_equal_in_both_the_first_is_on_it() -> None:
    assert front([ScoredTrial(3, 0.5, 1), ScoredTrial(1, 0.5, 1), ScoredTrial(2, 0.5, 2)], "max") == [
        ScoredTrial(1, 0.5, 1)
    ]


def test_without_costs_it_is_the_best_so_many() -> None:
    trials = [ScoredTrial(number, value) for number, value in enumerate([0.3, 0.9, 0.5, 0.9])]
    assert [trial.number for trial in front(trials, "max")] == [1]
    assert [trial.number for trial in front(trials, "max", 3)] == [1, 3, 2]
    assert front(trials, "max", 0) == front([], "max") == []


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_it_is_what_comparing_every_pair_gives(mode: Mode, depth: int) -> None:
    dice = random.Random(depth)
    trials = [ScoredTrial(number, dice.randint(0, 9), dice.randint(0, 9)) for number in range(60)]
    sign = -1 if mode == "max" else 1

    def beats(one: ScoredTrial, other: ScoredTrial) -> bool:
        first = (sign * one.value, one.cost, one.number) < (sign * other.value, other.cost, other.number)
        return one.cost <= other.cost and first

    expected = {trial for trial in trials if sum(beats(other, trial) for other in trials) < depth}
    assert set(front(trials, mode, depth)) == expected
