"""Early-stopping rules over (trial, epoch, value), rebuilt by replaying the study.

An entry in search/config/registry.py names the class of each kind. All classes take the same four arguments.
"""

from collections import defaultdict
from pkgutil import resolve_name
from typing import Protocol

import numpy as np
import optuna

from search.config.registry import STOP_RULES
from search.config.schema import EarlyStopping
from search.config.seeds import unit_draw
from search.study.study import cost_of, finite_values
from search.study.trial_end import Mode, Stop


class StopRule(Protocol):
    """One contract for all kinds of early stopping."""

    def judge(self, trial: int, epoch: int, value: float, cost: float = 0.0) -> Stop | None:
        """Take in the (finite) objective of an epoch; return why the trial should stop, or None.

        A trial is compared only with trials whose models cost no more than its own: a small model is never stopped by a
        larger one. A trial's cost is that of its first result.

        The verdict on a trial that ends by itself is not used; its value still counts for the others. An epoch that was
        judged before (the trial began again after its last checkpoint) is not judged a second time.
        """


def make_rule(settings: EarlyStopping, max_epochs: int, mode: Mode, seed: int) -> StopRule:
    """Make the rule that the sweep file asks for."""
    rule: StopRule = resolve_name(STOP_RULES[settings.kind].rule)(settings, max_epochs, mode, seed)
    return rule


class NeverStop:
    """Every trial runs to its own end, whatever the settings."""

    def __init__(self, *settings: object) -> None: ...

    def judge(self, trial: int, epoch: int, value: float, cost: float = 0.0) -> Stop | None:
        """Return None, always."""


class HalvingRule:
    """Asynchronous successive halving (Li et al. 2020, https://arxiv.org/abs/1810.05934), stopping variant.

    A trial fills each rung of its bracket with its best objective so far at its first report at or after the rung,
    and stops when that is worse than the best 1/reduction_factor of the results already there, if there are at
    least `min_results` of them. With several brackets, bracket s leaves out the first s rungs; a trial's bracket
    follows from its number and the seed alone, so that a resumed sweep deals the same.
    """

    def __init__(self, settings: EarlyStopping, max_epochs: int, mode: Mode, seed: int) -> None:
        self._kind = settings.kind
        self._factor = settings.reduction_factor
        self._min_results = settings.min_results
        self._mode = mode
        self._seed = seed
        self.rungs = STOP_RULES[self._kind].rungs(settings.grace_epochs, self._factor, max_epochs)
        # Hyperband has one bracket more than rungs: the last one never stops anyone.
        brackets = len(self.rungs) + 1 if self._kind == "hyperband" else min(settings.brackets, len(self.rungs))
        self.brackets = max(1, brackets)
        self.results: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        self._best: dict[int, float] = {}
        self._costs: dict[int, float] = {}

    def judge(self, trial: int, epoch: int, value: float, cost: float = 0.0) -> Stop | None:
        """Fill the rungs that the trial reached, judge it at each; see StopRule."""
        best = self._best[trial] = better_of(self._mode, self._best.get(trial, value), value)
        own = self._costs.setdefault(trial, cost)
        bracket = self.bracket(trial)
        verdict = None
        for rung in self.rungs[bracket:]:
            results = self.results[bracket, rung]
            if epoch < rung or trial in results:
                continue
            others = [result for other, result in results.items() if self._costs[other] <= own]
            verdict = verdict or self._verdict(epoch, rung, best, others, _among(own))
            results[trial] = best
        return verdict

    def bracket(self, trial: int) -> int:
        """Deal a trial to a bracket, in Hyperband's proportions."""
        weights = [self._factor**s / (s + 1) for s in range(len(self.rungs), len(self.rungs) - self.brackets, -1)]
        draw = unit_draw(self._seed, trial, "bracket") * sum(weights)
        for bracket, weight in enumerate(weights):
            draw -= weight
            if draw < 0:
                return bracket
        return self.brackets - 1

    def _verdict(self, epoch: int, rung: int, value: float, others: list[float], among: str) -> Stop | None:
        if len(others) < self._min_results:
            return None
        share = 1 / self._factor
        cutoff = float(np.quantile(others, 1 - share if self._mode == "max" else share))
        if better_of(self._mode, value, cutoff) == value:
            return None
        reason = (
            f"its best value {value:.4f} at epoch {epoch} is {_WORSE[self._mode]} {cutoff:.4f}, the cutoff for the "
            f"best 1/{self._factor:g} of {len(others)} earlier results at rung {rung}{among}"
        )
        return Stop(self._kind, epoch, reason, rung=rung, value=value, cutoff=cutoff, competed=len(others))


class MedianRule:
    """Stop a trial whose best value is worse than the median of the other trials' running means at its epoch.

    As in Google Vizier (Golovin et al. 2017) and Ray; only trials that have reached the epoch count.
    """

    def __init__(self, settings: EarlyStopping, max_epochs: int, mode: Mode, seed: int) -> None:
        self._grace = settings.grace_epochs
        self._min_results = settings.min_results
        self._mode = mode
        self._values: dict[int, dict[int, float]] = defaultdict(dict)
        self._costs: dict[int, float] = {}

    def judge(self, trial: int, epoch: int, value: float, cost: float = 0.0) -> Stop | None:
        """Compare the best so far with the others' running means up to the same epoch; see StopRule."""
        own = self._values[trial]
        if epoch in own:
            return None
        own[epoch] = value
        most = self._costs.setdefault(trial, cost)
        if epoch < self._grace:
            return None
        means = [
            float(np.mean([value for at, value in values.items() if at <= epoch]))
            for other, values in self._values.items()
            if other != trial and max(values) >= epoch and min(values) <= epoch and self._costs[other] <= most
        ]
        if len(means) < self._min_results:
            return None
        best, median = (max if self._mode == "max" else min)(own.values()), float(np.median(means))
        if better_of(self._mode, best, median) == best:
            return None
        reason = (
            f"its best value {best:.4f} by epoch {epoch} is {_WORSE[self._mode]} {median:.4f}, the median of the "
            f"running means of {len(means)} other trials{_among(most)}"
        )
        return Stop("median", epoch, reason, rung=epoch, value=best, cutoff=median, competed=len(means))


_WORSE = {"max": "below", "min": "above"}


def _among(cost: float) -> str:
    """Say which trials one was compared with, where costs count."""
    return " at no higher cost" if cost else ""


def better_of(mode: Mode, first: float, second: float) -> float:
    """Return the better of two values."""
    return max(first, second) if mode == "max" else min(first, second)


class RuleReplay:
    """Keeps a rule up to date with a study, also one that several drivers report to."""

    def __init__(self, study: optuna.Study, rule: StopRule) -> None:
        self._study = study
        self._rule = rule
        self._replayed: set[int] = set()  # Trials that have ended, with all their values.

    def replay(self) -> None:
        """Bring the rule up to what the study holds, by whichever driver it was reported.

        What a rule holds does not depend on the order in which trials reported, so that needs no record.
        """
        trials = [trial for trial in self._study.get_trials(deepcopy=False) if trial.number not in self._replayed]
        for trial in trials:
            for epoch, value in sorted(finite_values(trial).items()):
                self._rule.judge(trial.number, epoch, value, cost_of(trial))
        self._replayed |= {trial.number for trial in trials if trial.state.is_finished()}
