"""Which checkpoints of a sweep stay on the disk: those of running trials, and of the best ones that ended."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.control import Control
from search.failure import trial_number
from search.plan import trial_folder
from trainables.checkpoint import generations


class KeepBestCheckpoints(Callback):
    """Deletes the checkpoints of ended trials, but for the `keep` best so far, and keeps all within a disk quota.

    A running trial's are what it goes on from after a lost worker or a lost driver; those of a trial that ended hold
    the weights of its best epoch too. Where all of them take more than `quota` bytes, the kept ones of ended trials
    go first, the worst of them before the others, then the older generation of running trials. The newest generation
    of a running trial is never deleted, so the quota holds as far as that allows.
    """

    def __init__(self, experiment: Path, mode: str, keep: int, control: Control, quota: int | None = None) -> None:
        self._experiment = experiment
        self._sign = -1 if mode == "max" else 1
        self._keep = keep
        self._control = control
        self._quota = quota
        self._kept: list[tuple[float, int]] = []
        self._running: set[int] = set()

    def take_up(self, ended: Iterable[tuple[int, float | None]]) -> None:
        """Begin where a driver before this one has left off: (number, best value unless it failed) of ended trials."""
        for number, best in ended:
            self._end(number, best)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Make room, where the quota asks for it; the trial has just written its checkpoint."""
        self._running.add(trial_number(trial))
        if self._quota is not None:
            self._make_room(self._quota)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Keep or delete the checkpoints of a trial that has ended, and of the one that it displaces."""
        number = trial_number(trial)
        outcome = self._control.outcomes.get(number)
        self._end(number, None if outcome is None or outcome.state == "FAIL" else outcome.best)

    on_trial_error = on_trial_complete

    def _end(self, number: int, best: float | None) -> None:
        self._running.discard(number)
        if best is None:
            self._delete(number)
            return
        self._kept = sorted([*self._kept, (self._sign * best, number)])
        for _score, displaced in self._kept[self._keep :]:
            self._delete(displaced)
        del self._kept[self._keep :]

    def _make_room(self, quota: int) -> None:
        numbers = [*self._running, *(number for _score, number in self._kept)]
        excess = sum(_bytes(file) for number in numbers for file in self._files(number)) - quota
        while excess > 0 and self._kept:
            _score, worst = self._kept.pop()
            excess -= self._delete(worst)
        for number in sorted(self._running):
            if excess <= 0:
                return
            excess -= self._delete(number, but=1)

    def _delete(self, number: int, but: int = 0) -> int:
        """Delete all but the newest `but` generations; return how many bytes that freed."""
        files = self._files(number)[but:]
        freed = sum(_bytes(file) for file in files)
        for file in files:
            file.unlink(missing_ok=True)
        return freed

    def _files(self, number: int) -> list[Path]:
        return generations(trial_folder(self._experiment, number))


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # The worker has just replaced it.
        return 0
