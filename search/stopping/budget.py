"""Spending of a sweep, compared with its budget; pure, without clock."""

import math

from search.config.schema import Budget
from search.study.trial_end import Mode


class Spending:
    """What is spent so far, compared with the budget: `gpu_seconds` are each trial's, times its share of a GPU."""

    def __init__(self, budget: Budget, mode: Mode) -> None:
        self._budget = budget
        self._sign = 1 if mode == "max" else -1
        self.epochs = 0
        self.gpu_seconds = 0.0
        self._improvements: list[tuple[float, float]] = []  # Cost and best objective.
        self._since_better = 0
        self._reached: float | None = None

    def reported(self, value: float | None) -> None:
        """Note the objective of an epoch, for the target; None and what is not finite are no result."""
        target = self._budget.target
        if target is None or value is None or not math.isfinite(value) or self._reached is not None:
            return
        if self._sign * value >= self._sign * target:
            self._reached = value

    def trial_ended(self, best: float | None, cost: float = 0.0) -> None:
        """Count an ended trial for the plateau; `best` is its best objective, None for one that failed."""
        needed = 0.0 if self._budget.plateau is None else self._budget.plateau.min_improvement
        if best is None:
            return  # It says nothing about where better configurations are.
        cheaper = [value for known, value in self._improvements if known <= cost]
        if all(self._sign * (best - value) > needed for value in cheaper):
            self._improvements.append((cost, best))
            self._since_better = 0
        else:
            self._since_better += 1

    def over(self, seconds: float) -> str | None:
        """Say which limit is reached, None while there is none; `seconds` is the wall-clock time of this run."""
        budget, plateau = self._budget, self._budget.plateau
        if budget.epochs is not None and self.epochs >= budget.epochs:
            return f"budget: {self.epochs} epochs were run, of {budget.epochs}"
        if budget.hours is not None and seconds >= 3600 * budget.hours:
            return f"budget: {seconds / 3600:.2f} hours have passed, of {budget.hours:g}"
        if budget.gpu_hours is not None and self.gpu_seconds >= 3600 * budget.gpu_hours:
            return f"budget: {self.gpu_seconds / 3600:.2f} GPU-hours were used, of {budget.gpu_hours:g}"
        if self._reached is not None:
            return f"budget: the target of {budget.target:g} was reached by {self._reached:.4f}"
        if plateau is not None and self._since_better >= plateau.trials:
            by = f" by more than {plateau.min_improvement:g}" if plateau.min_improvement else ""
            return f"plateau: the best value has not improved{by} for {self._since_better} trials"
        return None
