"""Take up a trial of the study, also one that a killed driver has left half suggested."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    Space = dict[str, BaseDistribution]


def finish(study: optuna.Study, number: int, space: Space) -> Trial:
    """Suggest what is missing of a trial whose driver was killed while it asked.

    All knobs are drawn as they were the first time, and those that the study holds already stay: the sampler's
    randomness follows from the trial's number, so the whole is what the killed driver would have suggested.
    """
    study._thread_local.cached_all_trials = None
    trial = Trial(study, study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number))
    stored = trial._cached_frozen_trial.params
    if stored.keys() >= space.keys():
        return trial
    blank = copy.copy(trial._cached_frozen_trial)
    blank.params, blank.distributions = {}, {}
    trial._cached_frozen_trial = blank
    trial.storage = _Without(trial.storage, set(stored))  # type: ignore[assignment]
    return _draw(trial, space)


def _draw(trial: Trial, space: Space) -> Trial:
    for name, distribution in space.items():
        trial._suggest(name, distribution)
    return trial


class _Without:
    """A storage that writes no parameter twice, which Optuna's tables would refuse."""

    def __init__(self, storage: Any, stored: set[str]) -> None:
        self._storage = storage
        self._stored = stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def set_trial_param(self, trial_id: int, name: str, value: float, distribution: BaseDistribution) -> None:
        if name not in self._stored:
            self._storage.set_trial_param(trial_id, name, value, distribution)
