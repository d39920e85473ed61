"""Which checkpoints of a sweep stay on the disk: those of running trials, and of the best ones that ended."""

import shutil
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.control import Control
from search.failure import trial_number


class KeepBestCheckpoints(Callback):
    """Deletes the checkpoints of ended trials, but for the `keep` best so far.

    Ray's own rule counts per trial: of each trial it keeps at least one for ever. A running trial's is what a retry
    after a lost worker goes on from; a trial's last checkpoint holds the weights of its best epoch too.
    """

    def __init__(self, experiment: Path, mode: str, keep: int, control: Control) -> None:
        self._folder = experiment / "ray"
        self._sign = -1 if mode == "max" else 1
        self._keep = keep
        self._control = control
        self._kept: list[tuple[float, int]] = []

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Keep or delete the checkpoints of a trial that has ended, and of the one that it displaces."""
        number = trial_number(trial)
        outcome = self._control.outcomes.get(number)
        if outcome is None or outcome.best is None or outcome.state == "FAIL":
            self._delete(number)
            return
        self._kept = sorted([*self._kept, (self._sign * outcome.best, number)])
        for _score, displaced in self._kept[self._keep :]:
            self._delete(displaced)
        del self._kept[self._keep :]

    on_trial_error = on_trial_complete

    def _delete(self, number: int) -> None:
        for checkpoint in (self._folder / f"trial_{number:04d}").glob("checkpoint_*"):
            shutil.rmtree(checkpoint, ignore_errors=True)
