"""The best trials once more, with further seeds, before one is handed over."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import optuna
import ray
from optuna.trial import FrozenTrial
from ray import tune
from ray.exceptions import RayError
from scipy.stats import t as student

from search.config.schema import SweepConfig
from search.config.seeds import trial_seed
from search.config.trial_plan import Plan
from search.study.study import scored
from search.tune.failure import describe
from search.tune.resources import Share
from trainables.config import TrialConfig, Validation
from trainables.handoff import Confirmation, Confirmed

CONFIRM = "confirm"  # The study's user attribute: runs that are done, for a driver that goes on.
LEVEL = 0.95


@dataclass(frozen=True)
class Again:
    """One run to come: `number` counts those of a trial from 0; it ends with the epoch that the trial was best in."""

    trial: int
    number: int
    config: TrialConfig
    epochs: int

    @property
    def name(self) -> str:
        """What the study remembers the run by; other seeds, folds or epochs make another."""
        return f"{self.trial}/{self.number}/{self.config.seed}/{self.config.validation.folds}/{self.epochs}"


class Trainer:
    """A process that trains configurations as trials do, one after the other, without records or checkpoints."""

    def __init__(self, trainable: type[tune.Trainable]) -> None:
        self._trainable = trainable
        self._warm: Any = None

    def train(self, config: dict[str, Any], epochs: int, metric: str) -> float | None:
        """Return the metric after so many epochs, or after the last one that could be trained; None if it diverged."""
        if self._warm is None or not self._warm.reset_config(config):
            self._warm = self._trainable(config)
        result: dict[str, Any] = {}
        while int(result.get("epoch", 0)) < epochs and not result.get("done"):
            result = self._warm.step()
        value = float(result.get(metric, math.nan))
        return value if math.isfinite(value) and result.get("stop_kind") != "failed" else None


@dataclass
class _Runs:
    """What has become of the runs: their values, and those that gave none."""

    study: optuna.Study
    done: dict[str, float | None] = field(default_factory=dict)

    def keep(self, run: Again, value: float | None) -> None:
        self.done[run.name] = value
        self.study.set_user_attr(CONFIRM, self.done)


def confirmed(
    plan: Plan, part: Share, study: optuna.Study, trainable: type[tune.Trainable] | None
) -> Confirmation | None:
    """Train the best trials again as `confirm` says, and choose among them; None where nothing is to be confirmed.

    The choice is the best mean over a trial's own value and its further ones, which are measured after the epoch that
    was its best: no further maximum is taken. Where folds judge the further runs, these alone count. A run that gives
    no value (it diverged, or its process was lost) is said, and its trial is not chosen unless no other has values.
    """
    candidates = best_trials(study.get_trials(deepcopy=False), plan.config)
    if plan.config.confirm is None or len(candidates) < 2:
        return None
    runs = _Runs(study, dict(study.user_attrs.get(CONFIRM, {})))
    wanted = list(again(plan, candidates))
    missing = [run for run in wanted if run.name not in runs.done]
    epochs, trials = sum(run.epochs for run in missing), ", ".join(str(each.number) for each in candidates)
    print(f"confirming   trials {trials}: {len(missing)} runs, {epochs} epochs", flush=True)
    _train(plan, part, trainable, missing, runs)
    return choice(plan.config, candidates, wanted, runs.done)


def best_trials(trials: Sequence[FrozenTrial], config: SweepConfig) -> list[FrozenTrial]:
    """Return as many of the best trials that ended well as are to be confirmed, best first."""
    results = {trial.number: result for trial in trials if (result := scored(trial)) is not None}
    sign = -1 if config.mode == "max" else 1
    ranked = sorted(results.values(), key=lambda each: (sign * each.value, each.number))
    wanted = config.confirm.trials if config.confirm else 1
    by_number = {trial.number: trial for trial in trials}
    return [by_number[each.number] for each in ranked[:wanted]]


def again(plan: Plan, candidates: Sequence[FrozenTrial]) -> Iterator[Again]:
    """Yield the runs to come, the best trial's first."""
    confirm = plan.config.confirm
    assert confirm is not None
    for trial in candidates:
        first = TrialConfig.model_validate(trial.user_attrs["config"])
        for number in range(confirm.seeds):
            changes: dict[str, Any] = {"seed": trial_seed(plan.config.seed, trial.number, f"confirm {number}")}
            if confirm.folds > 1:
                changes["validation"] = Validation(folds=confirm.folds)
            yield Again(trial.number, number, first.model_copy(update=changes), trial.user_attrs["best_epoch"])


def choice(
    config: SweepConfig, candidates: Sequence[FrozenTrial], runs: Sequence[Again], done: dict[str, float | None]
) -> Confirmation:
    """Choose the trial to hand over from what the runs gave."""
    confirm = config.confirm
    assert confirm is not None
    sign = -1 if config.mode == "max" else 1
    rows = []
    for trial in candidates:
        value = scored(trial)
        assert value is not None
        values = [done.get(run.name) for run in runs if run.trial == trial.number]
        rows.append(Confirmed(trial=trial.number, first=value.value, values=values))
    whole = [row for row in rows if row.whole]
    alike = confirm.folds == 1  # Else the trial's own value is of other photos.
    chosen = min(whole, key=lambda row: sign * row.mean(with_first=alike), default=rows[0])
    half = _half_width([np.array(row.values, float) for row in whole])
    return Confirmation(chosen=chosen.trial, rows=tuple(rows), folds=confirm.folds, half_width=half)


def _half_width(groups: Sequence[Any]) -> float | None:
    """Half of the mean's 95 % interval, with the deviation of all groups together; None where none can be known."""
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None
    deviation = math.sqrt(sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / freedom)
    return float(student.ppf((1 + LEVEL) / 2, freedom)) * deviation / math.sqrt(len(groups[0]))


def _train(
    plan: Plan, part: Share, trainable: type[tune.Trainable] | None, missing: Sequence[Again], runs: _Runs
) -> None:
    """Train the runs, as many at once as trials were; a Ctrl-C leaves out those that are not done."""
    if trainable is None:
        from trainables.trial import FineTuneTrial

        trainable = FineTuneTrial
    waiting = list(missing)
    working: dict[Any, tuple[Any, Again]] = {}
    idle = [_start(part, trainable) for _ in range(min(part.concurrent, len(waiting)))]
    actors = list(idle)
    try:
        while waiting or working:
            while idle and waiting:
                actor, run = idle.pop(), waiting.pop(0)
                settings = plan.settings(run.trial, run.config)
                settings["run"] = replace(settings["run"], checkpoint_every=0, checkpoint_dir=_nowhere(plan, run))
                working[actor.train.remote(settings, run.epochs, plan.config.metric)] = actor, run
            (ended,), _ = ray.wait(list(working))
            actor, run = working.pop(ended)
            idle.append(_heard(ended, actor, run, part, trainable, runs, plan.config.metric))
            actors.append(idle[-1])
    except KeyboardInterrupt:
        print(f"confirming   interrupted: {len(waiting) + len(working)} runs are left out", flush=True)
    finally:
        for actor in actors:
            ray.kill(actor)


def _heard(
    ended: Any, actor: Any, run: Again, part: Share, trainable: type[tune.Trainable], runs: _Runs, metric: str
) -> Any:
    """Keep what a run gave, and return a process for the next one."""
    what = f"confirming   trial {run.trial}, seed {run.config.seed}"
    try:
        value = ray.get(ended)
    except RayError as error:
        print(f"{what}: no value, {describe(error).reason}", flush=True)
        runs.done[run.name] = None  # Not kept: a driver that goes on tries it again.
        ray.kill(actor)
        return _start(part, trainable)
    runs.keep(run, value)
    said = "diverged" if value is None else f"{metric} {value:.4f} in epoch {run.epochs}"
    print(f"{what}: {said}", flush=True)
    return actor


def _start(part: Share, trainable: type[tune.Trainable]) -> Any:
    return ray.remote(num_cpus=part.threads, num_gpus=part.gpus)(Trainer).remote(trainable)


def _nowhere(plan: Plan, run: Again) -> str:
    """Where the run's checkpoints would lie, of which it writes none; no trial has them there."""
    return str(plan.experiment / "confirm" / run.name)
