"""search/stopping/budget.py: what is counted, and when a sweep is to end."""

import math
from typing import Any

import pytest

from search.config.schema import Budget, sweep_config
from search.stopping.budget import Spending
from trainables.errors import UserError


def spending(mode: Any = "max", **budget: Any) -> Spending:
    return Spending(Budget.model_validate(budget), mode)


def test_without_limits_nothing_is_ever_over() -> None:
    spent = spending()
    for _ in range(1000):
        spent.epochs += 1
        spent.trial_ended(0.1)
    assert spent.over(1e9) is None and set(Budget().model_dump().values()) == {None}  # no limit by default


def test_epochs_hours_and_gpu_hours_end_at_their_number() -> None:
    spent = spending(epochs=3, hours=2.0, gpu_hours=0.5)
    spent.epochs += 2
    assert spent.over(7199) is None
    assert spent.over(7200) == "budget: 2.00 hours have passed, of 2"
    spent.gpu_seconds += 1800
    assert spent.over(0) == "budget: 0.50 GPU-hours were used, of 0.5"
    spent.epochs += 1
    assert spent.over(0) == "budget: 3 epochs were run, of 3"


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_target_is_reached_by_any_epoch(mode: str) -> None:
    sign = 1 if mode == "max" else -1
    spent = spending(mode, target=sign * 0.8)
    for value in (sign * 0.7, None, math.nan, sign * 0.79):
        spent.reported(value)
    assert spent.over(0) is None
    spent.reported(sign * 0.81)
    spent.reported(sign * 0.5)
    assert spent.over(0) == f"budget: the target of {sign * 0.8:g} was reached by {sign * 0.81:.4f}"


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_plateau_counts_trials_since_the_last_real_improvement(mode: str) -> None:
    sign = 1 if mode == "max" else -1
    spent = spending(mode, plateau={"trials": 3, "min_improvement": 0.01})
    for best in (0.50, 0.505, 0.505):
        spent.trial_ended(sign * best)
    assert spent.over(0) is None
    spent.trial_ended(sign * 0.52)
    for best in (None, 0.1, None, 0.525, 0.529):
        spent.trial_ended(None if best is None else sign * best)
    assert spent.over(0) == "plateau: the best value has not improved by more than 0.01 for 3 trials"


def test_with_two_objectives_a_plateau_is_so_many_trials_that_were_no_better_than_all_that_cost_no_more() -> None:
    spent = spending(plateau={"trials": 2})
    for best, cost in [(0.8, 90), (0.5, 30), (0.6, 30), (0.1, 10), (0.55, 40)]:
        spent.trial_ended(best, cost)
    assert spent.over(0) is None, "all but the last were better than what costs no more"
    spent.trial_ended(0.8, 90)
    assert spent.over(0) == "plateau: the best value has not improved for 2 trials"


@pytest.mark.parametrize(
    ("budget", "line"),
    [
        ({"epoch": 3}, "unknown key 'budget.epoch'; the keys here are: epochs, gpu_hours, hours, plateau, target"),
        ({"hours": 0}, "budget.hours: input should be greater than 0, not 0"),
        ({"target": 85}, "budget.target: val_macro_f1 lies between 0 and 1, and never at 85"),
        ({"plateau": {}}, "the key 'budget.plateau.trials' is missing"),
    ],
)
def test_a_wrong_budget_is_one_line(budget: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        sweep_config({"name": "x", "dataset": "d", "experiment": "e", "budget": budget})
    assert str(caught.value) == line
