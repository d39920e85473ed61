"""Observer that keeps checkpoints of the best trials, within a quota."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from optuna.trial import FrozenTrial

from search.study.study import scored
from search.study.trial_end import Mode, ScoredTrial, TrialEnd, front
from search.tune.observers import EpochResult, ObservedTrial, Observer
from trainables.errors import UserError
from trainables.files.bucket import open_store
from trainables.files.experiment import CHECKPOINTS, checkpoint_root
from trainables.training.checkpoint import newest_first


class KeepBestCheckpoints(Observer):
    """Deletes the checkpoints of ended trials, but for the `keep` best so far, and keeps all within a disk quota.

    A running trial's are what it goes on from after a lost worker or a lost driver; those of a trial that ended hold
    the weights of its best epoch too. Where all of them take more than `quota` bytes, the kept ones of ended trials
    go first, the worst of them before the others, then the older generation of running trials. The newest generation
    of a running trial is never deleted, so the quota holds as far as that allows. Where a model's cost counts too, a
    trial is among the best when fewer than `keep` others beat it (search/study/trial_end.py): with 1, the front stays.
    """

    def __init__(
        self, experiment: Path, mode: Mode, keep: int, quota: int | None = None, mirror: str | None = None
    ) -> None:
        """Args: `quota` is in bytes; `mirror` the URL that has the checkpoints in place of the experiment's folder."""
        self._experiment = experiment
        self._mirror = mirror
        self._mode = mode
        self._keep = keep
        self._quota = quota
        self._kept: list[ScoredTrial] = []
        self._running: dict[int, str] = {}
        self._held: set[int] | None = None

    def restore(self, trials: Sequence[FrozenTrial]) -> None:
        """Keep and delete as for trials that end now."""
        if self._mirror is not None:  # A question to the URL for each of a thousand ended trials would take minutes.
            self._held = {int(name.partition("/")[0]) for name in _sizes(f"{self._mirror}/{CHECKPOINTS}")}
        for trial in trials:
            if trial.state.is_finished():
                self._end(trial.number, scored(trial))
        self._held = None

    def epoch(self, trial: ObservedTrial, result: EpochResult) -> None:
        """Make room, where the quota asks for it; the trial has just written its checkpoint."""
        # At a URL this is below the root, where another configuration's may lie too (Plan.checkpoint_place).
        self._running[trial.number] = trial.checkpoints or self._root(trial.number)
        if self._quota is not None:
            self._make_room(self._quota)

    def ended(self, trial: ObservedTrial, end: TrialEnd | None) -> None:
        """Keep or delete the checkpoints of a trial that has ended, and of the one that it displaces."""
        if end is None or end.result is None:
            self._end(trial.number, None)
        else:
            self._end(trial.number, ScoredTrial(trial.number, end.result, end.cost))

    def _end(self, number: int, result: ScoredTrial | None) -> None:
        self._running.pop(number, None)
        if result is None:
            self._delete(number)
            return
        ended = [*self._kept, result]
        self._kept = front(ended, self._mode, self._keep)
        for displaced in set(ended) - set(self._kept):
            self._delete(displaced.number)

    def _make_room(self, quota: int) -> None:
        places = [*self._running.values(), *(self._root(trial.number) for trial in self._kept)]
        excess = sum(size for place in places for size in _sizes(place).values()) - quota
        while excess > 0 and self._kept:
            excess -= self._delete(self._kept.pop().number)
        for _, place in sorted(self._running.items()):
            if excess <= 0:
                return
            excess -= _delete(place, but=1)

    def _delete(self, number: int) -> int:
        return 0 if self._held is not None and number not in self._held else _delete(self._root(number))

    def _root(self, number: int) -> str:
        return checkpoint_root(self._experiment, self._mirror, number)


def _delete(place: str, but: int = 0) -> int:
    """Delete all but the newest `but` generations; return how many bytes that freed."""
    sizes = _sizes(place)
    freed = 0
    for name in list(sizes)[but:]:
        with suppress(UserError):  # A URL that cannot be reached costs space; the mirror says that it cannot.
            open_store(place).delete(name)
            freed += sizes[name]
    return freed


def _sizes(place: str) -> dict[str, int]:
    """Return a trial's checkpoints, newest first, with their sizes in bytes; none where the place cannot be reached."""
    with suppress(UserError):
        sizes = open_store(place).sizes()
        return {name: sizes[name] for name in newest_first(sizes)}
    return {}
