"""Watch a running sweep's spending, and end it cleanly when its budget is spent."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune import Callback
from ray.tune.experiment import Trial

from search.config.schema import Budget, SweepConfig
from search.config.trial_plan import trial_number
from search.stopping.budget import Spending
from search.study.study import cost_of
from search.tune.state import SweepState
from trainables.errors import UserError


def check_budget(budget: Budget, gpus: float) -> None:
    """Refuse a budget of GPU-hours where trials have no GPU.

    Raises:
        UserError: so it is; the sweep would never end by it.
    """
    if budget.gpu_hours is not None and gpus == 0:
        raise UserError(f"budget.gpu_hours: {budget.gpu_hours:g}, but no trial of this sweep uses a GPU; use hours")


class WatchBudget(Callback):
    """Counts epochs, GPU time and trials without improvement; asks `SweepState` to end when a limit is reached.

    What trials that are in the study already have spent is counted by `restore`, so that a resumed sweep has no more
    than was left. Only `hours` begins anew.
    """

    def __init__(
        self, config: SweepConfig, gpus: float, sweep_state: SweepState, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args: `gpus` is each trial's share of a GPU, 0 for none; `clock` gives seconds."""
        self._spending = Spending(config.budget, config.mode)
        self._sweep_state = sweep_state
        self._gpus = gpus
        self._clock = clock
        self._started = clock()
        self._last_seen: dict[int, float] = {}
        self._epochs: dict[int, int] = {}

    def restore(self, trials: Iterable[FrozenTrial]) -> None:
        """Count what trials of an earlier run have spent."""
        for trial in sorted(trials, key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete)):
            values, attrs = trial.intermediate_values, trial.user_attrs
            self._epochs[trial.number] = max(values, default=0)
            self._spending.epochs += len(values)
            self._spending.add_gpu_seconds(self._gpus * float(attrs.get("seconds", 0.0)))
            if trial.state.is_finished():
                self._spending.trial_ended(values.get(attrs.get("best_epoch", -1)), cost_of(trial))

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Begin to count the trial's time."""
        self._last_seen[trial_number(trial)] = self._clock()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Count the epoch, once: a trial that began again after its worker was lost passes some of them twice."""
        number, epoch = trial_number(trial), int(result.get("epoch", 0))
        if epoch > self._epochs.get(number, 0):
            self._epochs[number] = epoch
            self._spending.add_epoch()
        self._count_time(number)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Count the trial for the plateau."""
        number = trial_number(trial)
        self._count_time(number)
        self._last_seen.pop(number, None)
        self._epochs.pop(number, None)
        trial_end = self._sweep_state.trial_ends.get(number)
        if trial_end is not None:
            self._spending.trial_ended(None if trial_end.state == "FAIL" else trial_end.best, trial_end.cost)

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        """End the sweep when something is spent; also between results, for an epoch may take long."""
        for number in self._last_seen:
            self._count_time(number)
        reason = self._spending.over(self._clock() - self._started)
        if reason is not None:
            self._sweep_state.end("budget", reason)

    def _count_time(self, number: int) -> None:
        now = self._clock()
        self._spending.add_gpu_seconds(self._gpus * (now - self._last_seen.get(number, now)))
        if number in self._last_seen:
            self._last_seen[number] = now
