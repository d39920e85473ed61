"""Activation store: memory-mapped arrays that all trials on a node share.

They are filled in chunks by the processes that need them, within a budget of disk space.

An entry is a folder named by the hash of all that can change its values. It holds named arrays of equal length, each
filled chunk by chunk. Processes that need an entry at the same time share the work: each takes the chunks that no other
has locked. Locks are the operating system's (flock), so a killed writer leaves none behind and its chunk is simply
computed again.

A chunk counts when its marker holds the checksum of its rows. The marker is written last, after the rows are on the
disk, and every process compares the two when it first sees a chunk. So a power cut, a removed file or a damaged
one costs computing again what is lost, and no trial trains on wrong values. An entry that is not whole is dropped.
"""

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.activations.array_file import UNFINISHED, Array, ArrayFile
from trainables.errors import UserError

CHUNK_ROWS = 256
_TRIES = 3  # Files may be removed, by hand say, between two looks at them.
_NO_SPACE = {errno.ENOSPC: "is full", errno.EDQUOT: "is full", errno.EROFS: "is read-only", errno.EIO: "fails"}
_NEW, _EVICTED = ".new-", ".evicted-"

Shapes = Mapping[str, tuple[int, ...]]
Fill = Callable[[int, int, Sequence[str], Mapping[str, Array]], Mapping[str, Array]]

Later = Callable[[Callable[[], None]], None]


class StoreFull(Exception):
    """The arrays do not fit in the store's disk budget or on its disk; the message says by how much."""


class Store:
    """A folder of entries with a budget in bytes; the least recently used entries make room for new ones."""

    def __init__(self, root: Path, budget: int | None = None) -> None:
        """Args: `budget` None takes half of what is free or already the store's.

        Raises:
            UserError: the folder cannot be written.
        """
        self.root = root
        self.checked: dict[Path, tuple[int, ...]] = {}  # Chunks that this process has checked or filled, by marker.
        self._warned = False
        try:
            root.mkdir(parents=True, exist_ok=True)
            with self.locked():
                self._clear_leftovers()
                held = sum(self._entries().values())
                self.budget = (shutil.disk_usage(root).free + held) // 2 if budget is None else budget
        except OSError as error:
            raise UserError(f"store: {root} cannot be written: {error.strerror}; name another folder") from None

    def opened(
        self, key: Mapping[str, Any], rows: int, shapes: Shapes, dtype: npt.DTypeLike, fill: Fill
    ) -> "tuple[Entry, dict[str, Array]]":
        """Open the entry for `key` with arrays [rows, *shape] of `shapes` filled by `fill` (see `Entry.fill`).

        Returns:
            The entry, in use until closed, and the arrays, read-only and memory-mapped.

        Raises:
            StoreFull: they do not fit in the budget or on the disk, which may be read-only.
        """
        for left in reversed(range(_TRIES)):
            try:
                entry = self.entry(key, rows)
                try:
                    entry.allocate(shapes, dtype)
                    entry.fill(list(shapes), fill)
                    return entry, {name: entry.read(name) for name in shapes}
                except BaseException:
                    entry.close()
                    raise
            except FileNotFoundError:
                if not left:
                    raise
            except OSError as error:
                if error.errno in _NO_SPACE:
                    raise StoreFull(f"the disk of the activation store {_NO_SPACE[error.errno]}") from None
                raise
        raise AssertionError  # The last try returns or raises.

    def entry(self, key: Mapping[str, Any], rows: int) -> "Entry":
        """Open the entry for `key` (JSON values), making its folder when there is none; it is in use until closed."""
        text = json.dumps({**key, "rows": rows, "chunk_rows": CHUNK_ROWS}, sort_keys=True)
        folder = self.root / hashlib.sha256(text.encode()).hexdigest()[:32]
        with self.locked():
            if folder.exists() and _text(folder / "key.json") != text:
                self.warn(folder)
                _remove(folder)
            if not folder.exists():
                temporary = Path(tempfile.mkdtemp(prefix=_NEW, dir=self.root))
                (temporary / "key.json").write_text(text)
                temporary.rename(folder)
            return Entry(self, folder, rows)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store's own lock: making, growing and evicting entries happen one at a time."""
        self.root.mkdir(parents=True, exist_ok=True)
        with _flock(self.root / "store.lock", fcntl.LOCK_EX):
            yield

    def make_room(self, needed: int, keep: Path) -> None:
        """Evict until `needed` more bytes fit; call with the lock held.

        Raises:
            StoreFull: the entries in use, or what else is on the disk, leave too little room.
        """
        entries = self._entries()
        used = sum(entries.values())
        for folder in sorted(entries, key=lambda folder: _modified(folder / "key.json")):
            if needed <= self._room(used):
                return
            if folder != keep and _evict(folder):
                used -= entries[folder]
        if needed > self._room(used):
            on_disk = shutil.disk_usage(self.root).free
            taken = f"{_gigabytes(used)} of its {_gigabytes(self.budget)} are in use"
            if on_disk < self.budget - used:
                taken += f" and its disk has {_gigabytes(on_disk)} free"
            raise StoreFull(f"the activation store needs {_gigabytes(needed)} more, and {taken}")

    def warn(self, folder: Path) -> None:
        """Say, once in a process, that a part of the store is damaged and computed again."""
        if not self._warned:
            print(f"warning: {folder} in the activation store is damaged; it is computed again", file=sys.stderr)
        self._warned = True

    def _room(self, used: int) -> int:
        return min(self.budget - used, shutil.disk_usage(self.root).free)

    def _entries(self) -> dict[Path, int]:
        """The bytes of each entry's arrays, by its folder."""
        return {
            folder: sum(_size(file) for file in folder.glob("*.npy"))
            for folder in self.root.iterdir()
            if (folder / "key.json").exists()
        }

    def _clear_leftovers(self) -> None:
        """Remove what killed processes left; call with the lock held, under which all of it is written and removed."""
        for prefix in (_NEW, _EVICTED):
            for folder in self.root.glob(f"{prefix}*"):
                shutil.rmtree(folder, ignore_errors=True)
        for file in self.root.glob(f"*/*{UNFINISHED}"):
            file.unlink(missing_ok=True)
        for lock in self.root.glob("*/use.lock"):
            if not (lock.parent / "key.json").exists():
                _evict(lock.parent)


class Entry:
    """Named arrays of `rows` rows, in use by this process until `close`."""

    def __init__(self, store: Store, folder: Path, rows: int) -> None:
        self._store = store
        self._folder = folder
        self._rows = rows
        self._in_use: int | None = os.open(folder / "use.lock", os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(self._in_use, fcntl.LOCK_SH)
        os.utime(folder / "key.json")

    def close(self) -> None:
        """Let the entry be evicted. Arrays that `read` returned stay readable as long as they are referred to."""
        if self._in_use is not None:
            os.close(self._in_use)
            self._in_use = None

    def allocate(self, shapes: Shapes, dtype: npt.DTypeLike) -> None:
        """Make room for arrays [rows, *shape] that are not there yet, or not as they should be.

        Raises:
            StoreFull: they do not fit in the budget.
        """
        with self._store.locked():
            whole = {name: (self._rows, *shape) for name, shape in shapes.items()}
            missing = {name: shape for name, shape in whole.items() if not self._file(name).is_sound(shape, dtype)}
            if not missing:
                return
            for name in missing:
                self._drop(name)
            needed = sum(int(np.prod(shape)) for shape in missing.values()) * np.dtype(dtype).itemsize
            self._store.make_room(needed, self._folder)
            for name, shape in missing.items():
                self._file(name).create(shape, dtype)

    def read(self, name: str) -> Array:
        """The array, read-only and memory-mapped; only its filled chunks mean anything."""
        array = self._file(name).load()
        if array is None:
            raise FileNotFoundError(f"{self._file(name).path} is gone or damaged")
        return array

    def fill(self, names: Sequence[str], compute: Fill) -> None:
        """Fill what is missing of the arrays `names`, sharing the work with other processes that do the same.

        Args:
            names: arrays that `allocate` has made.
            compute: called with (start, stop, missing names, filled arrays by name cut to these rows); returns the
                missing arrays' rows start..stop.
        """
        chunks = range(0, self._rows, CHUNK_ROWS)
        with _beside() as later:  # First what no other works on; then wait, and do what others left undone.
            others = [start for start in chunks if not self._fill_chunk(start, names, compute, later, fcntl.LOCK_NB)]
            for start in others:
                self._fill_chunk(start, names, compute, later)

    def _fill_chunk(self, start: int, names: Sequence[str], compute: Fill, later: Later, wait: int = 0) -> bool:
        """Compute and write what a chunk lacks; return whether it is done, and not another process's work.

        Args:
            later: is given what brings the rows to the disk, marks the chunk and unlocks it.
            wait: the flag of flock that says not to wait for another process.
        """
        if not self._missing(start, names):
            return True
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(_flock(self._folder / f"chunk-{start}.lock", fcntl.LOCK_EX | wait))
            except BlockingIOError:
                return False
            checksums = self._compute_chunk(start, self._missing(start, names), compute)
            held = stack.pop_all()

        def finish() -> None:
            with held:
                for name, checksum in checksums.items():
                    self._file(name).flush()
                    self._marker(name, start).write_text(checksum)
                    self._remember(name, start)

        later(finish)
        return True

    def _compute_chunk(self, start: int, missing: list[str], compute: Fill) -> dict[str, str]:
        if not missing:
            return {}
        stop = min(start + CHUNK_ROWS, self._rows)
        others = [file.stem for file in self._folder.glob("*.npy") if file.stem not in missing]
        filled = {name: self.read(name)[start:stop] for name in others if not self._missing(start, [name])}
        values = compute(start, stop, missing, filled)
        return {name: self._file(name).write(start, values[name]) for name in missing}

    def _missing(self, start: int, names: Sequence[str]) -> list[str]:
        return [name for name in names if not self._is_filled(name, start)]

    def _is_filled(self, name: str, start: int) -> bool:
        """Whether a chunk is there and is what was written; the bytes are read once in a process."""
        marker = self._marker(name, start)
        said = _text(marker)
        if said is None:
            return False
        known = self._store.checked.get(marker)
        if known is not None and known == self._identity(name, start):
            return True
        array = self._file(name).load()
        if array is None or len(array) != self._rows:
            return False
        if self._file(name).checksum(start, min(start + CHUNK_ROWS, self._rows)) != said:
            if said:  # Without text, it is just being written, or the power was cut.
                self._store.warn(self._folder)
            return False
        self._remember(name, start)
        return True

    def _remember(self, name: str, start: int) -> None:
        identity = self._identity(name, start)
        if identity is not None:
            self._store.checked[self._marker(name, start)] = identity

    def _identity(self, name: str, start: int) -> tuple[int, ...] | None:
        """What changes when the array or its chunk is made anew; None where one is gone."""
        try:
            array, marker = self._file(name).path.stat(), self._marker(name, start).stat()
        except FileNotFoundError:
            return None
        return array.st_dev, array.st_ino, marker.st_ino, marker.st_mtime_ns

    def _drop(self, name: str) -> None:
        """Remove an array and its markers; the markers first, so that none ever stands beside a new array."""
        for marker in self._folder.glob(f"{glob.escape(name)}.*.filled"):
            marker.unlink(missing_ok=True)
        self._file(name).path.unlink(missing_ok=True)

    def _file(self, name: str) -> ArrayFile:
        return ArrayFile(self._folder / f"{name}.npy")

    def _marker(self, name: str, start: int) -> Path:
        return self._folder / f"{name}.{start}.filled"


@contextlib.contextmanager
def _beside() -> Iterator[Later]:
    """A function that runs another one beside the caller, as soon as the one before has ended.

    The disk is written while the next chunk is computed: to wait for it there took 8 % of a fill.
    """
    pending: list[Future[None]] = []

    def later(work: Callable[[], None]) -> None:
        while pending:
            pending.pop().result()
        pending.append(pool.submit(work))

    with ThreadPoolExecutor(1) as pool:
        yield later
        for last in pending:
            last.result()


@contextlib.contextmanager
def _flock(file: Path, flags: int) -> Iterator[None]:
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, flags)
        yield
    finally:
        os.close(descriptor)


def _evict(folder: Path) -> bool:
    """Remove an entry unless some process uses it."""
    try:
        with _flock(folder / "use.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            _remove(folder)
    except BlockingIOError:
        return False
    return True


def _remove(folder: Path) -> None:
    """Remove an entry. Renamed first: a process that looks now finds no entry, never half of one."""
    doomed = folder.with_name(f"{_EVICTED}{folder.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _text(file: Path) -> str | None:
    """A file's text, None where there is none."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return None


def _size(file: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_size
    return 0


def _modified(file: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_mtime
    return 0.0


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
