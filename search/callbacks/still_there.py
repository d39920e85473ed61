"""Observer that ends a sweep whose records were removed or replaced under it."""

import time
from collections.abc import Callable
from pathlib import Path

from search.tune.failure import how_to_go_on
from search.tune.observers import Observer
from search.tune.state import SweepState
from trainables.errors import UserError
from trainables.files.experiment import STUDY_FILE, SWEEP_FILE

EVERY_SECONDS = 2.0


class StillThere(Observer):
    """Looks at the sweep file and, where it is a file, at the study.

    SQLite goes on with a file that was removed: nothing would fail, and nothing would be kept.
    """

    def __init__(
        self,
        experiment: Path,
        sweep_state: SweepState,
        *,
        study: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: `study` is whether the experiment's folder holds it; `clock` gives seconds."""
        self._files = [experiment / name for name in (SWEEP_FILE, STUDY_FILE)[: 2 if study else 1]]
        self._study = experiment / STUDY_FILE
        self._before = _identity(self._study)
        self._experiment = experiment
        self._sweep_state = sweep_state
        self._clock = clock
        self._next = clock()

    def step(self) -> None:
        """Look, some times a minute."""
        if self._clock() >= self._next:
            self._next = self._clock() + EVERY_SECONDS
            self.look()

    def closed(self) -> None:
        """Look once more, before the results are written."""
        self.look()

    def look(self) -> None:
        """End the sweep if a record is gone."""
        gone = next((file for file in self._files if not file.is_file()), None)
        if gone is not None:
            what = f"{gone} was removed while the sweep ran, so what it found is not all kept"
        elif _identity(self._study) != self._before:
            what = f"{self._study} was replaced while the sweep ran, so what it found is not all kept"
        else:
            return
        again = f"what is left goes on by `{how_to_go_on(self._experiment).split('`')[1]}`"
        self._sweep_state.fail(UserError(f"{what}; {again}, where sweep.yaml is still there"))


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
