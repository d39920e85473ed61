"""Have Ray forget trials that have ended: the study and the log of epochs hold all that is known of them."""

from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.trainable.metadata import _TrainingRunMetadata

from search.config.trial_plan import run_settings

# What Ray's final tables and its retries look at of a trial that is over.
_KEPT = ("trial_id", "done", "training_iteration", "epoch")
_KEPT_OF_RUN = (
    "start_time",
    "num_failures",
    "num_failures_after_restore",
    "error_filename",
    "pickled_error_filename",
)


class ForgetEndedTrials(Callback):
    """Keeps the driver's memory from growing with every trial.

    Ray keeps of every trial its statistics of each metric (two queues and six numbers apiece), its last result and its
    configuration several times over: some 70 KB by the end of a trial, for tables that a sweep never shows.
    """

    def __init__(self) -> None:
        self._ended: list[Trial] = []

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Remember it; Ray has something to do with it yet in this step."""
        self._ended.append(trial)

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        """Forget the trials that are over."""
        waiting = []
        for trial in self._ended:
            if trial.is_finished() and not trial.is_saving:
                _forget(trial)
            else:
                waiting.append(trial)
        self._ended = waiting


def _forget(trial: Trial) -> None:
    before = trial.run_metadata
    after = _TrainingRunMetadata()
    after.checkpoint_manager = type(before.checkpoint_manager)(None)
    after.last_result = {key: before.last_result[key] for key in _KEPT if key in before.last_result}
    for name in _KEPT_OF_RUN:
        setattr(after, name, getattr(before, name))
    trial.run_metadata = after
    trial.config = {"run": run_settings(trial)}
    trial.evaluated_params = {}
