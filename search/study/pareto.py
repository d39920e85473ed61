"""Pareto front of trials over objective and model cost.

Pure, without Optuna or Ray. One trial beats another when it is at least as good and costs no more. A sweep with one
objective is the same without costs: its front is its best trial.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable
from typing import Literal, NamedTuple

Mode = Literal["max", "min"]


class ScoredTrial(NamedTuple):
    """A trial's number, its best objective, and what its model costs: 0 where the sweep does not weigh that."""

    number: int
    value: float
    cost: float = 0.0


def front(trials: Iterable[ScoredTrial], mode: Mode, depth: int = 1) -> list[ScoredTrial]:
    """Return the trials that fewer than `depth` others beat, best value first; with 1, the Pareto front.

    Of trials that are equal in both, the one that began first beats the others.
    """
    sign = -1 if mode == "max" else 1
    kept: list[ScoredTrial] = []
    costs: list[float] = []  # Of all that are better, rising.
    for trial in sorted(trials, key=lambda trial: (sign * trial.value, trial.cost, trial.number)):
        if bisect_right(costs, trial.cost) < depth:
            kept.append(trial)
        insort(costs, trial.cost)
    return kept
