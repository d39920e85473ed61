"""OptunaSearch with the feedback right: what Ray knows of a trial's end reaches the study."""

import logging
import math
import time
from typing import Any

import optuna
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from search.ask import begin
from search.control import Control, Stop
from search.plan import Plan
from search.proposals import Proposals
from search.space import distributions
from search.study import create_study, tell_end
from search.warm_start import read_warm_start


class StudySearch(OptunaSearch):
    """Suggests from, and reports to, one Optuna study that is the whole truth about the sweep.

    Unlike the stock class: a trial that the scheduler stopped is PRUNED with all its values, not COMPLETE; a trial
    that failed is FAIL with the reason, never RUNNING for ever; the value is the best epoch's, not the last one's;
    the epoch is the step; an existing study is refused; and the trial's number travels in its configuration, so a
    result finds its Optuna trial whatever id Ray gives to a retry.
    """

    def __init__(self, plan: Plan, control: Control, storage: optuna.storages.BaseStorage) -> None:
        self._plan = plan
        self._control = control
        self._open: dict[int, _OpenTrial] = {}
        self._numbers: dict[str, int] = {}
        config = plan.config
        super().__init__(
            space=distributions(config.space),
            metric=config.metric,
            mode=config.mode,
            study_name=config.name,
            storage=storage,
        )
        self._proposals = Proposals(plan, self.study, read_warm_start(config))

    @property
    def study(self) -> optuna.Study:
        """The study behind this searcher."""
        return self._ot_study

    def _setup_study(self, mode: str) -> None:
        # The stock method joins a study of the same name silently.
        self._ot_study = create_study(self._study_name, self._plan.config.mode, self._storage)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Begin the next trial in the study and return the trainable's whole configuration; see Plan.settings."""
        if self._control.stopping:
            return None
        proposal = self._proposals.next()
        if isinstance(proposal, str):
            self._control.finished = proposal
            return str(Searcher.FINISHED)
        suggestion, config = proposal
        trial = begin(self.study, suggestion, {"config": config.model_dump(), "seed": config.seed})
        self._numbers[trial_id] = trial.number
        self._open[trial.number] = _OpenTrial(trial)
        return self._plan.settings(trial.number, config)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an epoch's objective."""
        self._report(self._number(trial_id, result), result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how the trial ended: by the scheduler's decision, by its own end, or by a failure."""
        number = self._number(trial_id, result or {})
        if number not in self._open:
            logging.getLogger(__name__).warning("trial %s has ended already; a further end is ignored", trial_id)
            return
        self._report(number, result or {})
        trial = self._open.pop(number)
        self._numbers.pop(trial_id, None)
        stop = self._control.stops.get(number) or _own_end(result or {}, trial.last_epoch, error)
        self._control.outcomes[number] = tell_end(
            self.study, number, trial.values, stop, self._plan.config.mode, trial.attrs()
        )

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the study is the state, and a pickle of it could only disagree."""

    def _report(self, number: int, result: dict[str, Any]) -> None:
        trial = self._open.get(number)
        if trial is None:
            return
        trial.note(result)
        value, epoch = result.get(self._metric), result.get("epoch")
        # A trial that was started again after its worker was lost passes the same epochs twice.
        if value is not None and epoch is not None and math.isfinite(value) and epoch not in trial.values:
            trial.values[int(epoch)] = float(value)
            trial.optuna_trial.report(float(value), int(epoch))

    def _number(self, trial_id: str, result: dict[str, Any]) -> int:
        return int(result.get("config/run/trial", self._numbers.get(trial_id, -1)))


class _OpenTrial:
    """A trial between its suggestion and its end: the values so far, and where it ran."""

    def __init__(self, optuna_trial: optuna.Trial) -> None:
        self.optuna_trial = optuna_trial
        self.values: dict[int, float] = {}
        self.last_epoch: int | None = None
        self._started = time.time()
        self._host: str | None = None
        self._device: str | None = None
        self._weights: dict[str, Any] = {}

    def note(self, result: dict[str, Any]) -> None:
        self._host = result.get("host", result.get("hostname", self._host))
        self._device = result.get("device", self._device)
        self.last_epoch = result.get("epoch", self.last_epoch)
        # Ray hands on a result flattened: weights/kind, weights/detail …
        told = {key.removeprefix("weights/"): value for key, value in result.items() if key.startswith("weights/")}
        self._weights = told or self._weights

    def attrs(self) -> dict[str, Any]:
        seconds = round(time.time() - self._started, 3)
        attrs = {"host": self._host, "device": self._device, "seconds": seconds, "weights": self._weights}
        return {key: value for key, value in attrs.items() if value not in (None, {})}


def _own_end(result: dict[str, Any], epoch: int | None, error: bool) -> Stop:
    """Why a trial ended that no scheduler stopped, as the trainable said it."""
    if error or epoch is None:
        return Stop("failed", epoch, "the trial ended without saying why")
    kind = result.get("stop_kind", "max_epochs")
    return Stop(kind, epoch, result.get("stop_reason") or f"ended at epoch {epoch}")
