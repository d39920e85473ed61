"""What Ray keeps in memory of a trial that has ended."""

from collections.abc import Iterable

from ray.tune.experiment import Trial
from ray.tune.trainable.metadata import _TrainingRunMetadata

from search.config.trial_plan import run_settings

# What Ray's final tables and its retries look at of a trial that is over.
_KEPT = ("trial_id", "done", "training_iteration", "epoch")
_KEPT_RUN = ("start_time", "num_failures", "num_failures_after_restore", "error_filename", "pickled_error_filename")


def forget_ended(ended: Iterable[Trial]) -> list[Trial]:
    """Have Ray forget trials that have ended; return those with which it has something to do yet.

    The study and the log of epochs hold all that is known of them. Ray keeps of every trial its statistics of each
    metric (two queues and six numbers apiece), its last result and its configuration several times over: some 70 KB by
    the end of a trial, for tables that a sweep never shows.
    """
    waiting = []
    for trial in ended:
        if not trial.is_finished() or trial.is_saving:
            waiting.append(trial)
            continue
        before, after = trial.run_metadata, _TrainingRunMetadata()
        after.checkpoint_manager = type(before.checkpoint_manager)(None)
        after.last_result = {key: before.last_result[key] for key in _KEPT if key in before.last_result}
        for name in _KEPT_RUN:
            setattr(after, name, getattr(before, name))
        trial.run_metadata = after
        trial.config = {"run": run_settings(trial)}
        trial.evaluated_params = {}
    return waiting
