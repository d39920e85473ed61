"""Lock on an experiment's folder, released when its process dies."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trainables.errors import UserError
from trainables.files.experiment import HOLDER_FILE, LOCK_FILE


@contextmanager
def driving(experiment: Path) -> Iterator[None]:
    """Be the only driver of an experiment's folder for the time of the body.

    Raises:
        UserError: another process drives it; the line says which.
    """
    lock = FileLock(experiment / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            holder = json.loads((experiment / HOLDER_FILE).read_text())
            who = f"process {holder['pid']} on {holder['host']}"
        except (OSError, ValueError, KeyError):
            who = "another process"
        raise UserError(f"experiment: {experiment} is being run by {who}; wait for it, or stop it") from None
    try:
        (experiment / HOLDER_FILE).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        (experiment / HOLDER_FILE).unlink(missing_ok=True)
        lock.release()
