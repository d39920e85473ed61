"""Asking a study for a trial, with one read and one write.

`Study.ask` reads all trials again for every knob and commits every knob by itself: a dozen round trips, and a driver
that is killed between two of them leaves half a suggestion. Here the sampler sees the study as it was read once, and
the trial appears in the storage whole, with its knobs and attributes, or not at all.
"""

import copy
from collections.abc import Container
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, _get_single_value
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from search.study.study import best_value, cost_of

# TPE and GP share what they draw with other drivers before it is written; here it is written in the same moment.
_SHARED_BEFORE = ("tpe:", "gp:")


def suggest(
    study: optuna.Study,
    sampler: BaseSampler,
    trials: list[FrozenTrial],
    space: dict[str, BaseDistribution],
    number: int,
    *,
    reads_stopped: bool = True,
) -> FrozenTrial:
    """Let a sampler draw the trial with this number; nothing is written.

    Args:
        trials: those of the study, and before them others that the sampler is to learn from, with negative numbers.
        space: every knob with its distribution; all trials have all of them.
        reads_stopped: whether the sampler learns from PRUNED trials as they are, where there is one objective.
    """
    trial = blank_trial(number)
    if len(study.directions) > 1 or not reads_stopped:
        trials = [_as_complete(trial, len(study.directions)) for trial in trials]
    view = optuna.Study(study.study_name, _Snapshot(study, trials, trial), sampler)  # type: ignore[arg-type]
    sampler.before_trial(view, trial)
    # Not the sampler's own inference, which compares the spaces of all trials to find that they are this one.
    together = {name: knob for name, knob in space.items() if not knob.single()}
    drawn = sampler.sample_relative(view, trial, together if trials else {})
    for name, knob in space.items():
        if knob.single():
            value = _get_single_value(knob)
        elif name in drawn and knob._contains(knob.to_internal_repr(drawn[name])):
            value = drawn[name]
        else:
            value = sampler.sample_independent(view, trial, name, knob)
        trial.params[name], trial.distributions[name] = value, knob
    return trial


def begin(study: optuna.Study, trial: FrozenTrial, user_attrs: dict[str, Any]) -> optuna.Trial:
    """Write a suggested trial into the study, whole, and return it for its results to be reported to."""
    trial.user_attrs.update(user_attrs)
    for key in [key for key in trial.system_attrs if key.startswith(_SHARED_BEFORE)]:
        del trial.system_attrs[key]
    return optuna.Trial(study, study._storage.create_new_trial(study._study_id, trial))


def blank_trial(number: int, state: TrialState = TrialState.RUNNING) -> FrozenTrial:
    """Return a trial that begins now and holds nothing yet."""
    return FrozenTrial(
        number=number,
        trial_id=-1,
        state=state,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None if state == TrialState.RUNNING else datetime.now(),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def _as_complete(trial: FrozenTrial, objectives: int) -> FrozenTrial:
    """A stopped trial as a sampler can rank it that reads COMPLETE ones only.

    With one objective its value is the last one, as for TPE. With two it is by what it reached, and what its model
    costs: Optuna orders PRUNED trials by one direction, which a study with two does not have. Early stopping holds a
    trial only against those that cost no more, so what it stops is dominated by one of them, and is ranked below that.
    """
    value = trial.value if objectives == 1 else best_value(trial)
    if trial.state != TrialState.PRUNED or value is None:
        return trial
    seen = copy.copy(trial)
    seen.state, seen.values = TrialState.COMPLETE, [value, cost_of(trial)][:objectives]
    return seen


class _Snapshot:
    """The part of a storage that samplers use: the trials as they were read, and notes on the trial being drawn."""

    def __init__(self, study: optuna.Study, trials: list[FrozenTrial], drawn: FrozenTrial) -> None:
        self._study = study
        self._trials = trials
        self._drawn = drawn

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._study._study_id

    def get_study_directions(self, study_id: int) -> Any:
        return self._study.directions

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._trials if states is None else [trial for trial in self._trials if trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._drawn.system_attrs[key] = value
