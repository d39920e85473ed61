"""Replay of a study's results into an early-stopping rule."""

from collections.abc import Iterable, Mapping

import optuna

from search.stopping.rules import StopRule
from search.study.study import cost_of, finite_values


class RuleReplay:
    """Keeps a rule up to date with a study, also one that several drivers report to."""

    def __init__(self, study: optuna.Study, rule: StopRule) -> None:
        self._study = study
        self._rule = rule
        self._replayed: set[int] = set()  # Trials that have ended, with all their values.

    def replay(self) -> None:
        """Bring the rule up to what the study holds, by whichever driver it was reported."""
        trials = [trial for trial in self._study.get_trials(deepcopy=False) if trial.number not in self._replayed]
        replay(self._rule, [(trial.number, finite_values(trial), cost_of(trial)) for trial in trials])
        self._replayed |= {trial.number for trial in trials if trial.state.is_finished()}


def replay(rule: StopRule, trials: Iterable[tuple[int, Mapping[int, float], float]]) -> None:
    """Bring a rule up to a study's record: (trial number, objective by epoch, cost).

    What a rule holds does not depend on the order in which trials reported, so the order of arrival needs no record.
    """
    for number, values, cost in trials:
        for epoch in sorted(values):
            rule.judge(number, epoch, values[epoch], cost)
