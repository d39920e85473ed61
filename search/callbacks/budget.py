"""Observer that ends a sweep cleanly when its budget is spent."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from search.config.schema import Budget, SweepConfig
from search.records import seconds_of_epochs
from search.stopping.budget import Spending
from search.study.study import best_value, cost_of, ended_badly
from search.study.trial_end import TrialEnd
from search.tune.observers import EpochResult, ObservedTrial, Observer
from search.tune.state import SweepState
from trainables.errors import UserError
from trainables.files.experiment import trial_folder


def check_budget(budget: Budget, gpus: float) -> None:
    """Refuse a budget of GPU-hours where trials have no GPU.

    Raises:
        UserError: `gpu_hours` is limited and `gpus` is 0, so that the sweep would never end by it.
    """
    if budget.gpu_hours is not None and gpus == 0:
        raise UserError(f"budget.gpu_hours: {budget.gpu_hours:g}, but no trial of this sweep uses a GPU; use hours")


class WatchBudget(Observer):
    """Counts epochs, GPU time and trials without improvement; asks `SweepState` to end when a limit is reached.

    `restore` counts what trials spent that are in the study already, so that a resumed sweep has no more than was left.
    Only `hours` begins anew.
    """

    def __init__(
        self, config: SweepConfig, gpus: float, sweep_state: SweepState, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args: `gpus` is each trial's share of a GPU, 0 for none; `clock` gives the seconds of `hours`."""
        self._spending = Spending(config.budget, config.mode)
        self._experiment = Path(config.experiment)
        self._sweep_state = sweep_state
        self._gpus = gpus
        self._clock = clock
        self._started = clock()
        self._gpu_seconds_before = 0.0

    def restore(self, trials: Sequence[FrozenTrial]) -> None:
        """Count what trials of an earlier run have spent."""
        for trial in sorted(trials, key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete)):
            values, attrs = trial.intermediate_values, trial.user_attrs
            self._spending.epochs += len(values)
            # One that is open has no such record yet; its own, too, begins with what its log says.
            seconds = attrs.get("seconds") or seconds_of_epochs(trial_folder(self._experiment, trial.number))
            self._gpu_seconds_before += self._gpus * float(seconds)
            for value in () if trial.state == TrialState.FAIL or ended_badly(trial) else values.values():
                self._spending.reported(value)
            if trial.state.is_finished():
                self._spending.trial_ended(best_value(trial), cost_of(trial))

    def epoch(self, trial: ObservedTrial, result: EpochResult) -> None:
        """Count the epoch, unless `restore` counted it."""
        if not result.known:
            self._spending.epochs += 1
        # Whether a trial's last epoch is a result is known at its end.
        if result.stop is None and not result.reported.get("done"):
            self._spending.reported(result.value)

    def ended(self, trial: ObservedTrial, end: TrialEnd | None) -> None:
        """Count the trial for the target and the plateau."""
        if end is not None:
            self._spending.reported(end.result)
            self._spending.trial_ended(end.result, end.cost)

    def step(self) -> None:
        """End the sweep when something is spent; also between results, for an epoch may take long."""
        run = self._sweep_state.run_times.total()
        self._spending.gpu_seconds = self._gpu_seconds_before + self._gpus * run
        reason = self._spending.over(self._clock() - self._started)
        if reason is not None:
            self._sweep_state.end("budget", reason)
