"""Lock on an experiment's folder, and lease on one at a URL.

The lease is no lock: an object store lets every driver write, and clocks differ. A driver that finds a fresh note
refuses, and one that finds another's note at its next renewal stops. Two that begin within the same second may both
hold it until then: each object that they write is whole, but some are of one and some of the other.
"""

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from trainables.errors import UserError
from trainables.files.bucket import Bucket
from trainables.files.experiment import HOLDER_FILE, LEASE, LOCK_FILE
from trainables.files.output import remove_unfinished

FRESH_SECONDS = 150
"""How long a note counts after its last renewal: several times the time between two."""


@dataclass(frozen=True)
class Lease:
    """The experiment's driver: `session` is one run of it, `renewed` is in seconds since 1970 (UTC).

    `free`: the driver has ended, and the URL holds all its records.
    """

    session: str
    host: str
    pid: int
    renewed: float
    free: bool = False


def read_lease(bucket: Bucket) -> Lease | None:
    """Return the note at a URL; None where there is none, or nothing that can be read as one.

    Raises:
        UserError: the place cannot be reached.
    """
    content = bucket.read(LEASE)
    try:
        return None if content is None else Lease(**json.loads(content))
    except (ValueError, TypeError):
        return None


def check_free(bucket: Bucket, own: str = "") -> Lease | None:
    """Return the note at a URL unless it is another driver's that still counts.

    Args:
        own: the session of a driver of this folder, which has ended.

    Raises:
        UserError: another driver's note counts; the line says whose, and for how long.
    """
    found = read_lease(bucket)
    left = 0.0 if found is None or found.free else FRESH_SECONDS - max(0.0, time.time() - found.renewed)
    if found is not None and found.session != own and left > 0:
        raise UserError(
            f"experiment: {bucket.url} is being run by process {found.pid} on {found.host}; "
            f"wait for it, or stop it (if it has died, the experiment is free in {left:.0f} s)"
        )
    return found


def take(bucket: Bucket, own: str = "") -> Lease:
    """Become the driver of the experiment at a URL.

    Raises:
        UserError: another driver's note counts, or another driver was quicker.
    """
    check_free(bucket, own)
    lease = Lease(uuid.uuid4().hex[:12], socket.gethostname(), os.getpid(), time.time())
    _write(bucket, lease)
    check_free(bucket, lease.session)
    return lease


def renew(bucket: Bucket, lease: Lease) -> None:
    """Say that this driver still works.

    Raises:
        LeaseLost: another driver has taken the experiment over.
        UserError: the place cannot be reached.
    """
    found = read_lease(bucket)
    if found is not None and found.session != lease.session:
        raise LeaseLost(
            f"experiment: {bucket.url} was taken over by process {found.pid} on {found.host}, because this driver's "
            f"note there was older than {FRESH_SECONDS} s"
        )
    _write(bucket, replace(lease, renewed=time.time()))


def release(bucket: Bucket, lease: Lease) -> None:
    """Note that this driver has ended and all its records are at the URL."""
    _write(bucket, replace(lease, renewed=time.time(), free=True))


class LeaseLost(UserError):
    """Another driver has the experiment."""


def _write(bucket: Bucket, lease: Lease) -> None:
    bucket.put(json.dumps(asdict(lease)).encode(), LEASE)


@contextmanager
def driving(experiment: Path) -> Iterator[None]:
    """Be the only driver of an experiment's folder for the time of the body; the lock ends with its process.

    What killed processes were writing in it is removed.

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
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        raise UserError(f"experiment: {experiment} is being run by {who}; wait for it, or stop it") from None
    try:
        for folder in (experiment, *experiment.glob("trials/*/")):
            remove_unfinished(folder)
        (experiment / HOLDER_FILE).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        (experiment / HOLDER_FILE).unlink(missing_ok=True)
        lock.release()
