"""One driver per experiment: a lock that the operating system lets go of when its holder dies, however it does."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trainables.errors import UserError

_LOCK = ".driver.lock"
_HOLDER = ".driver.json"


@contextmanager
def driving(experiment: Path) -> Iterator[None]:
    """Be the only driver of an experiment's folder for the time of the body.

    Raises:
        UserError: another process drives it; the line says which.
    """
    lock = FileLock(experiment / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = _holder(experiment)
        raise UserError(f"experiment: {experiment} is being run by {holder}; wait for it, or stop it") from None
    try:
        (experiment / _HOLDER).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        (experiment / _HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(experiment: Path) -> str:
    try:
        holder = json.loads((experiment / _HOLDER).read_text())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"
