"""Ctrl-C: once ends a sweep cleanly, twice stops it at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.experiment import Trial

from search.tune.state import SweepState

# A job that is stopped from outside has a minute before it is killed (cluster/jobs.py); writing the results must fit.
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


def end_without_waiting(sweep_state: SweepState, trials: Iterable[Trial]) -> None:
    """End a sweep that is to end as soon as no epoch is in progress, before its grace is over."""
    if sweep_state.ending is not None and not any(trial.status == Trial.RUNNING for trial in trials):
        sweep_state.end("interrupted", sweep_state.ending.reason)
