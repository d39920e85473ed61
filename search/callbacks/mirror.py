"""Bring an experiment's records to its URL while the sweep runs."""

from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.experiment.mirror import Mirror
from search.tune.state import SweepState


class BringToMirror(Callback):
    """Wakes the mirror when a trial begins or ends, and ends the sweep when the URL is another driver's."""

    def __init__(self, mirror: Mirror, sweep_state: SweepState) -> None:
        self._mirror = mirror
        self._sweep_state = sweep_state

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Bring the study that names the trial."""
        self._mirror.wake()

    on_trial_complete = on_trial_error = on_trial_start

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        """Look whether the experiment is still ours."""
        if self._mirror.lost is not None:
            self._sweep_state.fail(self._mirror.lost)

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Ray writes its own state of the sweep, which nobody reads; a thread cannot stand in it.
        return Callback, ()
