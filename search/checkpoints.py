"""Which checkpoints of a sweep stay on the disk: those of running trials, and of the best ones that ended."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.control import Control
from search.failure import trial_number
from search.pareto import Mode, Weighed, front
from search.plan import trial_folder
from trainables.checkpoint import generations


class KeepBestCheckpoints(Callback):
    """Deletes the checkpoints of ended trials, but for the `keep` best so far, and keeps all within a disk quota.

    A running trial's are what it goes on from after a lost worker or a lost driver; those of a trial that ended hold
    the weights of its best epoch too. Where all of them take more than `quota` bytes, the kept ones of ended trials
    go first, the worst of them before the others, then the older generation of running trials. The newest generation
    of a running trial is never deleted, so the quota holds as far as that allows. Where a model's cost counts too, a
    trial is among the best when fewer than `keep` others beat it (search/pareto.py): with 1, those of the front stay.
    """

    def __init__(self, experiment: Path, mode: Mode, keep: int, control: Control, quota: int | None = None) -> None:
        self._experiment = experiment
        self._mode = mode
        self._keep = keep
        self._control = control
        self._quota = quota
        self._kept: list[Weighed] = []
        self._running: set[int] = set()

    def take_up(self, ended: Iterable[tuple[int, Weighed | None]]) -> None:
        """Begin where a driver before this one has left off: ended trials' numbers, and their results unless failed."""
        for number, result in ended:
            self._end(number, result)

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
        if outcome is None or outcome.state == "FAIL" or outcome.best is None:
            self._end(number, None)
        else:
            self._end(number, Weighed(number, outcome.best, outcome.cost))

    on_trial_error = on_trial_complete

    def _end(self, number: int, result: Weighed | None) -> None:
        self._running.discard(number)
        if result is None:
            self._delete(number)
            return
        ended = [*self._kept, result]
        self._kept = front(ended, self._mode, self._keep)
        for displaced in set(ended) - set(self._kept):
            self._delete(displaced.number)

    def _make_room(self, quota: int) -> None:
        numbers = [*self._running, *(trial.number for trial in self._kept)]
        excess = sum(_bytes(file) for number in numbers for file in self._files(number)) - quota
        while excess > 0 and self._kept:
            excess -= self._delete(self._kept.pop().number)
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
