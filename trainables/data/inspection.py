"""Photo files inspected in worker processes: hash, size, descriptor, or a problem."""

import hashlib
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import NamedTuple

from trainables.data.images import ImageUnreadable, decode_small, image_size
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.near_duplicates.descriptor import ImageDescriptor, describe

_FEW = 64  # below this many files a pool costs more than it saves
_CHUNK = 16


class Inspection(NamedTuple):
    """What is kept of a photo that decodes: some 400 bytes, whatever the photo's size.

    `sha256` is of the file's bytes; `width` and `height` are pixels as shown; `bytes` is the file's length.
    """

    sha256: str
    bytes: int
    width: int
    height: int
    descriptor: ImageDescriptor


class Problem(NamedTuple):
    """Why a file gives no photo: `reason` as in `ImageUnreadable`, or "unreadable" when it cannot even be read."""

    reason: str
    detail: str


def inspect_bytes(image: bytes) -> Inspection:
    """Decode a photo wholly and describe it.

    Raises:
        ImageUnreadable: it does not decode.
    """
    descriptor = describe(decode_small(image))
    width, height = image_size(image)
    return Inspection(hashlib.sha256(image).hexdigest(), len(image), width, height, descriptor)


def inspect_file(root: Path, source: str) -> Inspection | Problem:
    """`inspect_bytes` of root/source, with failures as a value."""
    try:
        return inspect_bytes((root / source).read_bytes())
    except ImageUnreadable as error:
        return Problem(error.reason, error.detail)
    except OSError as error:
        return Problem("unreadable", error.strerror or type(error).__name__)


def inspect_files(root: Path, sources: Sequence[str], workers: int | None = None) -> Iterator[Inspection | Problem]:
    """`inspect_file` of each, in order, by `workers` processes (None: one per usable core).

    Raises:
        UserError: a worker process died (usually: no memory left).
    """
    inspect = partial(inspect_file, root)
    workers = min(workers or usable_cores(), max(1, len(sources) // _FEW))
    if workers == 1:
        yield from map(inspect, sources)
        return
    # Workers must not inherit TensorFlow or its threads from this process, so they are not forked.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the whole process group; the parent ends the pool, and the workers need not each report it.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=signal.signal, initargs=ignore)
    try:
        yield from pool.map(inspect, sources, chunksize=_CHUNK)
    except BrokenProcessPool:
        raise UserError("a worker process died while it read photos (out of memory?); try --workers 1") from None
    finally:
        pool.shutdown(cancel_futures=True)
