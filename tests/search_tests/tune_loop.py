"""Ray Tune's order of calls (tune_controller.py of Ray 2.60), played without Ray: milliseconds in place of seconds."""

import math
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import optuna
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from ray.tune.utils import flatten_dict

from search.config.schema import SweepConfig
from search.config.trial_plan import Plan
from search.sampling.samplers import check_sampler
from search.stopping.rules import RuleReplay, StopRule, make_rule
from search.study.study import open_study, open_trials
from search.tune.scheduler import StudyScheduler
from search.tune.searcher import StudySearch
from search.tune.state import SweepState
from tests.search_tests.example import run_settings
from tests.search_tests.synthetic import curve, model_mb


class PlayedSweep:
    """A sweep whose trials report `curve`, one after the other or `beside` each other in turns."""

    def __init__(
        self,
        config: SweepConfig,
        *,
        storage: Any = None,
        faults: dict[int, int] | None = None,
        study: optuna.Study | None = None,
        checkpoint: Callable[[int, int], None] = lambda number, epoch: None,
        checkpoints: Mapping[int, int] | None = None,
    ) -> None:
        """Args: `study` is one to go on with; `checkpoint` hears of each epoch, `checkpoints` is where trials begin."""
        self.config = config
        self.sweep_state = SweepState()
        self.rule: StopRule = make_rule(config.early_stopping, config.max_epochs, config.mode, config.seed)
        storage = storage or optuna.storages.InMemoryStorage()
        study = study or open_study(config, "fingerprint", storage, join=False)
        RuleReplay(study, self.rule).replay()
        self.searcher = StudySearch(Plan(config, 1), self.sweep_state, study, open_trials(study))
        self._checkpoint = checkpoint
        self._checkpoints = checkpoints or {}
        self.scheduler = StudyScheduler(config, self.rule, self.sweep_state)
        self._faults = faults or {}

    def play(self, beside: int = 1, trials: int | None = None) -> list[optuna.trial.FrozenTrial]:
        """Run all trials (or so many) and return what the study knows of them."""
        running: list[Iterator[None]] = []
        started = 0
        trials = check_sampler(self.config) if trials is None else trials
        while (started < trials and not self.sweep_state.finished) or running:
            while started < trials and not self.sweep_state.finished and len(running) < beside:
                running.append(self._trial(started))
                started += 1
            running = [trial for trial in running if next(trial, "ended") is None]
        return self.searcher.study.get_trials()

    def values(self, config: dict[str, Any]) -> list[float]:
        """The objective of each epoch."""
        return curve(config)

    def _trial(self, index: int) -> Iterator[None]:
        config = self.searcher.suggest(f"ray_id_{index}")
        if config == Searcher.FINISHED:
            return
        assert isinstance(config, dict)
        trial = FakeTrial(config, f"ray_id_{index}")
        self.scheduler.on_trial_add(None, trial)
        values = self.values(config)
        for epoch in range(max(1, self._checkpoints.get(trial.number, 1)), len(values) + 1):
            value = values[epoch - 1]
            self._checkpoint(trial.number, epoch)
            if self._faults.get(trial.number) == epoch:
                value = math.nan
            if self.report(trial, epoch, value, last=epoch == len(values)):
                return
            yield

    def report(self, trial: "FakeTrial", epoch: int, value: float, *, last: bool = False) -> bool:
        """Hand in one result as TuneController does; return whether the trial has ended with it."""
        trial.last_result = {"epoch": epoch, self.config.metric: value, "config": trial.config, "hostname": "here"}
        if self.config.weighed:
            trial.last_result[self.config.weighed] = model_mb(trial.config)
        if last:
            trial.last_result |= {"done": True, "stop_kind": "max_epochs", "stop_reason": f"ran all {epoch} epochs"}
        result = flatten_dict(trial.last_result)
        # A trial that says it is done is not shown to on_trial_result, nor one that is stopped to the searcher's.
        decision = "STOP" if last else self.scheduler.on_trial_result(None, trial, result)
        if decision != TrialScheduler.STOP:
            self.searcher.on_trial_result(trial.trial_id, result)
            return False
        self.scheduler.on_trial_complete(None, trial, result)
        self.searcher.on_trial_complete(trial.trial_id, result)
        return True


class FakeTrial(SimpleNamespace):
    """What schedulers and callbacks look at of a ray.tune.experiment.Trial.

    `config["run"]` is a RunSettings, or those of its fields that a test needs.
    """

    __hash__ = object.__hash__

    def __init__(self, config: dict[str, Any], trial_id: str = "ray_id") -> None:
        if isinstance(config["run"], dict):
            config = {**config, "run": run_settings(**config["run"])}
        super().__init__(
            config=config, trial_id=trial_id, last_result={}, pickled_error_file=None, num_failures=0, max_failures=1
        )

    @property
    def number(self) -> int:
        return int(self.config["run"].trial)
