"""Observer that keeps how long a sweep has taken, over all sessions of its drivers."""

import time

import optuna

from search.study.trial_end import TrialEnd
from search.tune.observers import ObservedTrial, Observer

_SECONDS = "seconds"


class Took(Observer):
    """The study keeps the seconds, written at each trial's end: a session that was killed counts up to there."""

    def __init__(self, study: optuna.Study, owner: str | None, started: float) -> None:
        """Args: `owner` is the experiment, where several share the study; `started` is in monotonic seconds."""
        self._study = study
        self._name = _name(owner)
        self._before = seconds_before(study, owner)
        self._started = started

    def seconds(self) -> float:
        """All sessions' seconds up to now, which the study then holds."""
        took = self._before + time.monotonic() - self._started
        self._study.set_user_attr(self._name, round(took, 1))
        return took

    def ended(self, trial: ObservedTrial, end: TrialEnd | None) -> None:
        """Keep them."""
        self.seconds()


def seconds_before(study: optuna.Study, owner: str | None) -> float:
    """What earlier sessions took, as far as the study knows."""
    return float(study.user_attrs.get(_name(owner), 0.0))


def _name(owner: str | None) -> str:
    return f"{_SECONDS}:{owner}" if owner else _SECONDS
