"""The head of a Ray cluster: whether it answers, before a sweep joins it and while the sweep runs."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ray
from ray._private.ray_constants import PROCESS_TYPE_GCS_SERVER, PROCESS_TYPE_RAYLET

from search.tune.failure import how_to_go_on
from trainables.errors import UserError

# A head that is being started beside the sweep, as in a Slurm script, has so long; Ray itself waits for minutes.
JOIN_SECONDS = 30.0
# Ray ends a driver whose head has been away for a minute, with a line of its own that says nothing of the sweep.
AWAY_SECONDS = 10.0
_BETWEEN_LOOKS = 2.0


def await_head(address: str, said_by: str, seconds: float = JOIN_SECONDS) -> None:
    """Wait until something listens at a cluster's address, HOST:PORT.

    Args:
        said_by: where the address comes from, for the line.

    Raises:
        UserError: nothing does within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not _answers(address):
        if time.monotonic() > deadline:
            raise UserError(
                f"nothing answers at {address}, where {said_by} says that Ray runs, within {seconds:.0f} s; "
                "start it there, or say --set address=local for a Ray of this machine's own"
            )
        time.sleep(min(1.0, seconds))


@contextmanager
def said_after(line: str, seconds: float = JOIN_SECONDS) -> Iterator[None]:
    """Print a line while the body runs, if it takes longer than `seconds`."""
    timer = threading.Timer(seconds, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def head_watched(experiment: Path) -> Iterator[None]:
    """Say during the body when Ray's head is gone, and how to go on: Ray then ends this process without a word of it.

    A process of our own Ray's that has died ends the sweep: without one nothing runs, and Ray waits for minutes.

    A thread of its own looks, because the sweep's loop waits for the head in Ray's native code.
    """
    address, over = ray.get_runtime_context().gcs_address, threading.Event()
    for watch in (lambda: _watch(address, experiment, over), lambda: _watch_own(experiment, over)):
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(address: str, experiment: Path, over: threading.Event) -> None:
    answered, said = time.monotonic(), False
    while not over.wait(_BETWEEN_LOOKS):
        if _answers(address):
            if said:
                print(f"Ray's head at {address} answers again", file=sys.stderr, flush=True)
            answered, said = time.monotonic(), False
        elif not said and time.monotonic() - answered > AWAY_SECONDS:
            away = f"Ray's head at {address} does not answer any more, and Ray ends a driver without one"
            print(f"warning: {away}; {how_to_go_on(experiment)}", file=sys.stderr, flush=True)
            said = True


def dead_process() -> str | None:
    """Return the name of a process that has died of the Ray that this process started; None while all of them live."""
    node = ray._private.worker._global_node
    needed = (PROCESS_TYPE_RAYLET, PROCESS_TYPE_GCS_SERVER)
    return next((kind for kind, _ in node.dead_processes() if kind in needed), None) if node is not None else None


def _watch_own(experiment: Path, over: threading.Event) -> None:
    while not over.wait(_BETWEEN_LOOKS):
        dead = dead_process()
        if dead is not None:
            # The loop may stand in Ray's native code for minutes, so that no exception would be heard of.
            print(f"error: {ray_died(dead, experiment)}", file=sys.stderr, flush=True)
            node = ray._private.worker._global_node
            with suppress(Exception):
                node.kill_all_processes(check_alive=False, allow_graceful=False)
            os._exit(2)


def ray_died(process: str, experiment: Path) -> str:
    """Say in one line that a process of Ray's was killed, and how to go on."""
    return f"Ray's process {process} on this machine was killed or crashed; {how_to_go_on(experiment)}"


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_BETWEEN_LOOKS):
            return True
    except OSError:
        return False
