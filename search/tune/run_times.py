"""How long trials have run under this driver: the one clock of their records and of the budget."""

import time
from collections.abc import Callable


class RunTimes:
    """Counts a trial's seconds from when its process is ready to train, in all of its tries.

    The wait for a slot does not count: a trial is suggested while the one before it still runs. What a process took to
    get ready is added when the trial reports it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: `clock` gives seconds."""
        self._clock = clock
        self._since: dict[int, float] = {}
        self._before: dict[int, float] = {}

    def begin(self, number: int) -> None:
        """Count from now on."""
        self._since.setdefault(number, self._clock())

    def pause(self, number: int) -> None:
        """Count no further: the trial has ended, or lost its worker and waits for another."""
        self._before[number] = self.of(number)
        self._since.pop(number, None)

    def add(self, number: int, seconds: float) -> None:
        """Count these seconds too."""
        self._before[number] = self._before.get(number, 0.0) + seconds

    def of(self, number: int) -> float:
        """Return the seconds of one trial so far."""
        now = self._clock()
        return self._before.get(number, 0.0) + now - self._since.get(number, now)

    def total(self) -> float:
        """Return the seconds of all trials so far, added up."""
        return sum(self.of(number) for number in self._before.keys() | self._since.keys())
