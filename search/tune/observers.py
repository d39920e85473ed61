"""The sweep's one Ray Tune callback, and the plain observers it calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from search.config.trial_plan import run_settings
from search.study.trial_end import Stop, TrialEnd
from search.tune.interrupt import end_without_waiting
from search.tune.memory import forget_ended
from search.tune.state import SweepState


@dataclass(frozen=True)
class ObservedTrial:
    """A trial's number, its whole configuration, and where its checkpoints lie (None: in its own folder).

    `known_epochs` is the last epoch that the study held of it when this driver began.
    """

    number: int
    config: dict[str, Any]
    checkpoints: str | None = None
    known_epochs: int = 0


@dataclass(frozen=True)
class EpochResult:
    """One epoch of a trial: its objective (None where it is missing), and all that was `reported` of it by name.

    `first`: no other result of the trial has reached this driver, so that files of a driver before it may hold this
    epoch and later ones. `known`: the study held this epoch before this driver began. `stop` says why the scheduler
    ends the trial here.
    """

    epoch: int
    value: float | None
    reported: Mapping[str, Any]
    first: bool = False
    known: bool = False
    stop: Stop | None = None


class Observer:
    """Follows a sweep without knowing Ray; what a subclass leaves out does nothing."""

    def restore(self, trials: Sequence[FrozenTrial]) -> None:
        """Begin where the driver before this one left off: `trials` of this experiment are in the study already."""

    def opened(self) -> None:
        """The sweep begins."""

    def began(self, trial: ObservedTrial) -> None:
        """A trial begins, or begins again after its worker was lost."""

    def noted(self, trial: ObservedTrial, note: str) -> None:
        """A trial has something to say about its checkpoints."""

    def epoch(self, trial: ObservedTrial, result: EpochResult) -> None:
        """A trial has run an epoch; called once for each, after the study has it."""

    def ended(self, trial: ObservedTrial, end: TrialEnd | None) -> None:
        """A trial has ended, maybe before it began; None where the study was told of no end."""

    def step(self) -> None:
        """Something may have happened: called several times a second, also while all trials are in mid-epoch."""

    def closed(self) -> None:
        """The sweep has ended; may be called twice."""


class ObserverCallback(TrialProgressCallback):
    """Reads what Ray passes to its callbacks once, and calls the observers in their order.

    A trial that begins again after its worker was lost reports epochs that all observers have seen: they are dropped.
    It subclasses Ray's own display because Ray adds that one unless it finds one.
    """

    def __init__(self, observers: Sequence[Observer], metric: str, sweep_state: SweepState) -> None:
        super().__init__()
        self._observers = observers
        self._sweep_metric = metric
        self._sweep_state = sweep_state
        self._last_epochs: dict[int, int] = {}
        self._ended: list[Trial] = []

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Ray writes its own state of the sweep, which is never read; a thread or a terminal cannot stand in it.
        return Callback, ()

    def setup(self, *_: Any, **__: Any) -> None:
        """Open the observers."""
        for observer in self._observers:
            observer.opened()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Pass on that a trial begins."""
        self._sweep_state.run_times.begin(run_settings(trial).trial)
        for observer in self._observers:
            observer.began(observed(trial))

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Count no time while a trial that lost its worker waits for another."""
        self._sweep_state.run_times.pause(run_settings(trial).trial)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Pass on an epoch, unless it is a repeated one; a note of the trial's in any case."""
        seen = observed(trial)
        if result.get("checkpoint_note"):
            for observer in self._observers:
                observer.noted(seen, result["checkpoint_note"])
        last, epoch = self._last_epochs.get(seen.number), result.get("epoch")
        if epoch is None or (last is not None and epoch <= last):
            return
        self._last_epochs[seen.number] = int(epoch)
        value = result.get(self._sweep_metric)
        parsed = EpochResult(
            epoch=int(epoch),
            value=None if value is None else float(value),
            reported=result,
            first=last is None,
            known=epoch <= seen.known_epochs,
            stop=self._sweep_state.stops.get(seen.number),
        )
        for observer in self._observers:
            observer.epoch(seen, parsed)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Pass on how a trial ended."""
        seen = observed(trial)
        self._sweep_state.run_times.pause(seen.number)
        self._last_epochs.pop(seen.number, None)
        self._ended.append(trial)
        for observer in self._observers:
            observer.ended(seen, self._sweep_state.trial_ends.get(seen.number))

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        """Let the observers look, and Ray forget the trials that it is done with."""
        end_without_waiting(self._sweep_state, trials)
        self._ended = forget_ended(self._ended)
        for observer in self._observers:
            observer.step()

    def on_experiment_end(self, trials: list[Trial], **_: Any) -> None:
        """Close the observers."""
        for observer in self._observers:
            observer.closed()


def observed(trial: Trial) -> ObservedTrial:
    """Return what observers may know of a Ray trial."""
    run = run_settings(trial)
    return ObservedTrial(run.trial, trial.config, run.checkpoint_dir, run.known_epochs or 0)
