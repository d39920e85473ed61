"""Ray Tune scheduler that stops trials by a stopping rule."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.stopper import Stopper

from search.config.schema import SweepConfig
from search.config.trial_plan import run_settings
from search.stopping.rules import StopRule
from search.study.trial_end import BAD_ENDS, DIVERGED, INFEASIBLE, Stop
from search.tune.failure import Failure, how_to_go_on, read_failure
from search.tune.head import dead_process, ray_died
from search.tune.session import nodes_of_trials
from search.tune.state import SweepState
from trainables.errors import UserError
from trainables.files.experiment import ERROR_FILE, trial_folder


class StudyScheduler(FIFOScheduler):
    """Stops trials by a rule of search/stopping/rules.py, with the epoch as the clock.

    It takes the place of Ray's AsyncHyperBandScheduler, each of whose deciding methods is wrong at our seam: a NaN
    never stops, the second arrival at a rung is judged against one sample, skipped reports miss rungs, a missing
    metric turns it off silently, brackets are dealt by an unseeded generator, and its rungs are lost on restore.
    """

    def __init__(
        self, config: SweepConfig, rule: StopRule, sweep_state: SweepState, catch_up: Callable[[], None] | None = None
    ) -> None:
        """Args: `catch_up` tells the rule what other drivers reported; called whenever a trial is added."""
        super().__init__()
        self._catch_up = catch_up
        self._metric = config.metric
        self._cost, self._weighed, self._constraints = config.cost, config.weighed, config.constraints
        self._rule = rule
        self._sweep_state = sweep_state
        self._experiment = Path(config.experiment)
        self._roomier: dict[int, dict[str, float]] = {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """End a trial that Ray queues again after an exception that is not worth a second try.

        A lost worker is, and a trial that ran out of memory beside others: it gets a larger part of what they share.
        """
        if self._catch_up is not None:
            self._catch_up()
        number = run_settings(trial).trial
        self._sweep_state.quarantine.keep_off(trial, self._roomier.pop(number, None))
        failed = self._sweep_state.stops.get(number)
        if failed is not None and failed.kind == "failed":
            tune_controller.stop_trial(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide on an epoch's result; a decision to stop is left in `SweepState.stops` with its reason."""
        self._sweep_state.alike.any_result = True
        number = run_settings(trial).trial
        stop = self._judge(number, result)
        if stop is None and self._sweep_state.ending is not None:
            stop = replace(self._sweep_state.ending, epoch=int(result["epoch"]))
        if stop is None:
            return str(TrialScheduler.CONTINUE)
        self._sweep_state.stops[number] = stop
        return str(TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Let the last result of a trial that ended by itself count for the others."""
        number = run_settings(trial).trial
        if number not in self._sweep_state.stops:
            stop = self._judge(number, result)
            if stop is not None and stop.kind in ("failed", *BAD_ENDS):
                self._sweep_state.stops[number] = stop

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Remember why a trial failed, with the traceback in its folder's error.txt.

        Called before Ray tries the trial again, and before the searcher hears of its end.

        A UserError that the trainable raised (weights that do not fit, say) would fail every trial: it ends the sweep.
        So does what two trials failed for before any had a result, if no configuration can be the cause.
        """
        failure, number = read_failure(trial), run_settings(trial).trial
        if failure.ends_sweep:
            self._sweep_state.fail(UserError(failure.reason))
        dead = dead_process() if failure.worker_lost else None
        if dead is not None:
            self._sweep_state.left_open.add(number)
            self._sweep_state.fail(UserError(ray_died(dead, self._experiment)))
        if self._sweep_state.alike.add(number, failure.outside):
            first = "the first two trials failed for a reason that is not in their configurations"
            self._sweep_state.fail(UserError(f"{first}: {failure.reason}; {how_to_go_on(self._experiment)}"))
        more = _more_room(trial, failure) if failure.out_of_memory else {}
        if more and trial.num_failures <= trial.max_failures:
            self._roomier[number] = more
        elif not failure.worker_lost or trial.num_failures > trial.max_failures:
            self._sweep_state.stops[number] = Stop("failed", trial.last_result.get("epoch"), failure.reason)
        folder = trial_folder(self._experiment, number)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ERROR_FILE).open("a") as details:
            details.write(f"{failure.reason}\n{failure.details}\n\n")

    def debug_string(self) -> str:
        """Name the rule."""
        return f"early stopping by {type(self._rule).__name__}"

    def _judge(self, number: int, result: dict[str, Any]) -> Stop | None:
        needed = (self._metric, "epoch", *([self._weighed] if self._weighed else []))
        missing = [key for key in needed if key not in result]
        if missing:
            numbers = sorted(name for name, value in result.items() if isinstance(value, float) and "/" not in name)
            lacks, has = f"has no {missing[0]!r}, so it cannot be searched by", f"it has: {', '.join(numbers)}"
            self._sweep_state.fail(UserError(f"the trial's result {lacks}; {has}"))
            return Stop("failed", None, f"its result has no {missing[0]!r}")
        epoch, value = int(result["epoch"]), result[self._metric]
        for name, most in self._constraints.items():
            if result[name] > most:
                reason = f"its {name} is {result[name]:.2f}, and {most:g} is the most that is allowed"
                return Stop(INFEASIBLE, epoch, reason)
        cost = float(result[self._cost]) if self._cost else 0.0
        stop = self._rule.judge(number, epoch, float(value), cost) if math.isfinite(value) else None
        # What a trial itself says has failed is a loss that is not finite; its objective may be finite all the same.
        if not math.isfinite(value) or result.get("stop_kind") == "failed":
            reason = result.get("stop_reason") or f"{self._metric} was {value} at epoch {epoch}"
            return Stop(DIVERGED, epoch, str(reason))
        return stop


def _more_room(trial: Trial, failure: Failure) -> dict[str, float]:
    """Ray's resources for a trial with half as many neighbours on its GPU or machine; empty where it has none."""
    now = dict(trial.placement_group_factory.required_resources)
    part = now.get("GPU", 0.0)
    if 0 < part < 1:
        return {**now, "GPU": min(1.0, 2 * part)}
    if part and not failure.worker_lost:
        return {}  # It had the GPU, whose memory was too small, for itself.
    cpus = min(2 * now["CPU"], max((node.cpus for node in nodes_of_trials()), default=0))
    return {**now, "CPU": float(cpus)} if cpus > now["CPU"] else {}


class EndWhenAsked(Stopper):
    """Cuts all trials when `SweepState` says so: an error, a budget that is spent, or Ctrl-C."""

    def __init__(self, sweep_state: SweepState) -> None:
        self._sweep_state = sweep_state

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Say whether the sweep is to end now."""
        return self._sweep_state.cutting
