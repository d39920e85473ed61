"""Ctrl-C: once, the epochs in progress finish and the best is handed over; twice, everything stops at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.tune.state import SweepState

# Whoever stops a job from outside waits a minute before it is killed (cluster/jobs.py); the hand-over must fit too.
GRACE_SECONDS = 30.0


@contextmanager
def ctrl_c(sweep_state: SweepState) -> Iterator[None]:
    """Ctrl-C once ends the sweep cleanly; twice is the ordinary KeyboardInterrupt, which leaves it to be resumed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def end(*_: Any) -> None:
        sweep_state.end("interrupted", "stopped by Ctrl-C", GRACE_SECONDS)
        # Not `before`: in a process that a script has put in the background, that is to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not `print`: the handler may have come in the middle of another one.
        text = f"Ctrl-C: epochs in progress have {GRACE_SECONDS:.0f} s to finish; again: stop now, to be resumed\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class EndWithoutWaiting(Callback):
    """Lets a sweep that is to end do so as soon as no epoch is in progress, before its grace is over."""

    def __init__(self, sweep_state: SweepState) -> None:
        self._sweep_state = sweep_state

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        """Look whether any trial still trains."""
        ending = self._sweep_state.ending
        if ending is not None and not any(trial.status == Trial.RUNNING for trial in trials):
            self._sweep_state.end("interrupted", ending.reason)
