"""Ray Tune searcher over one Optuna study: suggestions, values and ends."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from search.config.space import distributions
from search.config.trial_plan import Plan
from search.experiment.provenance import now
from search.records import KEPT_OF_RESULTS, epochs_without_gap, seconds_of_epochs
from search.sampling.suggestions import Suggester, begin
from search.sampling.warm_start import read_warm_start
from search.study.study import COST, cost_of, finite_values, report, tell_end
from search.study.trial_end import INFEASIBLE, Stop
from search.study.trial_record import DRIVER, keep_trial
from search.tune.run_times import RunTimes
from search.tune.state import SweepState
from trainables.config import RunSettings, TrialConfig
from trainables.files.experiment import trial_folder


class StudySearch(OptunaSearch):
    """Suggests from, and reports to, one Optuna study that is the whole truth about the sweep.

    Unlike the stock class: a trial that the scheduler stopped is PRUNED with all its values, not COMPLETE; a trial
    that failed is FAIL with the reason, never RUNNING for ever; the value is the best epoch's, not the last one's;
    the epoch is the step; trials of a driver that was killed are resumed; and the trial's number travels in its
    configuration, so a result finds its Optuna trial whatever id Ray gives to a retry.
    """

    def __init__(
        self, plan: Plan, sweep_state: SweepState, study: optuna.Study, resumed: Sequence[FrozenTrial] = ()
    ) -> None:
        """Args: `resumed` are trials that are open from a driver before this one: they come before new suggestions."""
        self._plan = plan
        self._sweep_state = sweep_state
        self._open: dict[int, _OpenTrial] = {}
        self._numbers: dict[str, int] = {}
        self._spared: dict[int, str] = {}
        self._resumed = list(resumed)
        self._study_here = study
        config = plan.config
        super().__init__(
            space=distributions(config.space),
            metric=config.metric,
            mode=config.mode,
            study_name=config.name,
            storage=study._storage,
        )
        self._suggester = Suggester(plan, self.study, read_warm_start(config))

    @property
    def study(self) -> optuna.Study:
        """The study behind this searcher."""
        return self._ot_study

    def _setup_study(self, mode: str) -> None:
        # The stock method joins a study of the same name silently.
        self._ot_study = self._study_here

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the trainable's whole configuration (see Plan.settings), of a resumed trial or of a new one."""
        if self._sweep_state.stopping:
            return str(Searcher.FINISHED)
        if self._resumed:  # With the configuration that the trial began with, whatever the sweep says by now.
            begun = self._resumed.pop(0)
            config = TrialConfig.model_validate(begun.user_attrs["config"])
            return self._open_trial(trial_id, optuna.Trial(self.study, begun._trial_id), config, begun)
        suggested = self._suggester.next()
        if isinstance(suggested, str):
            self._sweep_state.finished = suggested
            return str(Searcher.FINISHED)
        suggestion, config = suggested
        trial = begin(self.study, suggestion, {DRIVER: self._plan.experiment_id, **self._attrs(config)})
        if trial.number != suggestion.number:  # Another driver of this study began one at the same moment.
            # The trial's seed follows from its number.
            config = self._plan.trial_config(trial.number, trial.params)
            for name, value in self._attrs(config).items():
                trial.set_user_attr(name, value)
        keep_trial(self.study, trial.number, self._plan.experiment)
        return self._open_trial(trial_id, trial, config)

    def _open_trial(
        self, trial_id: str, trial: optuna.Trial, config: TrialConfig, begun: FrozenTrial | None = None
    ) -> dict[str, Any]:
        self._numbers[trial_id] = trial.number
        opened = self._open[trial.number] = _OpenTrial(trial, begun, self._plan, self._sweep_state.run_times)
        # What the log has lost is reported again, too.
        logged = epochs_without_gap(trial_folder(self._plan.experiment, trial.number)) if begun else 0
        return self._plan.settings(trial.number, config, min(opened.last_epoch or 0, logged))

    def _attrs(self, config: TrialConfig) -> dict[str, Any]:
        return {"config": config.model_dump(), "seed": config.seed, "provenance": self._plan.origin}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an epoch's objective; before the first, what the model costs."""
        self.end_spared()
        trial = self._open.get(self._number(trial_id, result))
        if trial is None:
            return
        first = not trial.values
        for epoch, value in trial.take(result, self._metric).items():
            if first:
                self._note_cost(trial)
            report(trial.optuna_trial, epoch, value)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how the trial ended: by the scheduler's decision, by its own end, or by a failure."""
        result = result or {}
        number = self._number(trial_id, result)
        if number not in self._open:
            logging.getLogger(__name__).warning("trial %s has ended already; a further end is ignored", trial_id)
            return
        if number in self._sweep_state.left_open:
            return
        if self._sweep_state.alike.may_go_on(number):
            self._spared[number] = trial_id
            return
        trial = self._open.pop(number)
        self._numbers.pop(trial_id, None)
        first, unreported, epoch = not trial.values, trial.take(result, self._metric), trial.last_epoch
        stop = self._sweep_state.stops.get(number)
        if stop is None and (error or epoch is None):
            stop = Stop("failed", epoch, "the trial ended without saying why")
        elif stop is None:  # By itself, as the trainable said it.
            kind = result.get("stop_kind", "max_epochs")
            stop = Stop(kind, epoch, result.get("stop_reason") or f"ended at epoch {epoch}")
        if first:
            self._note_cost(trial)
        if stop.kind == INFEASIBLE:
            # Its values are no cutoff for others, and nothing that it could be chosen by.
            trial.values, unreported = {}, {}
        cost = (trial.cost or 0.0) if self._plan.config.cost else 0.0
        mode, attrs = self._plan.config.mode, trial.attrs()
        end = tell_end(self.study, number, trial.values, stop, mode, attrs, unreported, cost)
        keep_trial(self.study, number, self._plan.experiment)
        self._sweep_state.trial_ends[number] = end

    def end_spared(self) -> None:
        """Tell the study that trials failed which a resume was to run again, had the sweep ended by their failure."""
        self._sweep_state.alike.any_result = True
        while self._spared:
            self.on_trial_complete(self._spared.popitem()[1], error=True)

    def _note_cost(self, trial: "_OpenTrial") -> None:
        """Write what the model costs, as an objective and by how much it is above what is allowed."""
        if trial.cost is None:
            return
        config = self._plan.config
        if config.cost:
            trial.optuna_trial.set_user_attr(COST, trial.cost)
        for name, most in config.constraints.items():
            trial.optuna_trial.set_constraint(name, trial.cost - most)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the study is the state, and a pickle of it could only disagree."""

    def _number(self, trial_id: str, result: dict[str, Any]) -> int:
        run: RunSettings | None = result.get("config/run")
        return self._numbers.get(trial_id, -1) if run is None else run.trial


class _OpenTrial:
    """A trial between its suggestion and its end: the values so far, and where it ran.

    A resumed trial begins with what the study and its log of epochs hold of it.
    """

    def __init__(self, optuna_trial: optuna.Trial, begun: FrozenTrial | None, plan: Plan, run_times: RunTimes) -> None:
        self.optuna_trial = optuna_trial
        self.values: dict[int, float] = finite_values(begun) if begun else {}
        self.last_epoch: int | None = max(self.values, default=None)
        self.cost: float | None = cost_of(begun) if begun and self.values and plan.config.cost else None
        self._cost_name, self._is_objective = plan.config.weighed, plan.config.cost is not None
        self._run_times = run_times
        self._seconds_before = 0.0
        if begun:
            self._seconds_before = seconds_of_epochs(trial_folder(plan.experiment, begun.number))
            here = {} if begun.user_attrs.get("provenance") == plan.origin else plan.origin
            entry = {"at": now(), "after_epoch": self.last_epoch or 0, **here}
            optuna_trial.set_user_attr("taken_up", [*begun.user_attrs.get("taken_up", []), entry])
        self._kept: dict[str, Any] = {}
        self._weights: dict[str, Any] = {}
        self._notes: list[str] = list(begun.user_attrs.get("checkpoint_notes", [])) if begun else []

    def take(self, result: dict[str, Any], metric: str) -> dict[int, float]:
        """Take in a result, and return its finite objective by epoch, unless the study holds it already.

        A trial that began again (its worker was lost, or its driver) passes the same epochs twice.
        """
        if self.cost is None and self._cost_name in result:
            self.cost = float(result[self._cost_name])
        here = {"host": result["hostname"]} if "hostname" in result else {}
        self._kept |= here | {name: result[name] for name in KEPT_OF_RESULTS if name in result}
        if result.get("epoch") not in self.values:
            self._run_times.add(self.optuna_trial.number, result.get("setup_seconds") or 0.0)
        self.last_epoch = result.get("epoch", self.last_epoch)
        # Ray hands on a result flattened: weights/kind, weights/detail …
        reported = {key.removeprefix("weights/"): value for key, value in result.items() if key.startswith("weights/")}
        self._weights = reported or self._weights
        if result.get("checkpoint_note"):
            self._notes.append(result["checkpoint_note"])
        value, epoch = result.get(metric), result.get("epoch")
        if value is None or epoch is None or not math.isfinite(value) or epoch in self.values:
            return {}
        self.values[int(epoch)] = float(value)
        return {int(epoch): float(value)}

    def attrs(self) -> dict[str, Any]:
        """Return the user attributes of the trial that its end writes."""
        attrs = {
            COST: self.cost if self._is_objective else None,
            **self._kept,
            "seconds": round(self._seconds_before + self._run_times.of(self.optuna_trial.number), 3),
            "weights": self._weights,
            "checkpoint_notes": self._notes,
        }
        return {key: value for key, value in attrs.items() if value not in (None, {}, [])}
