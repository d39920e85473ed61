"""Activation store: memory-mapped arrays that all trials on a node share.

They are filled in chunks by the processes that need them, within a budget of disk space.

An entry is a folder named by the hash of all that can change its values. It holds named arrays of equal length, each
filled chunk by chunk. Processes that need an entry at the same time share the work: each takes the chunks that no other
has locked. Locks are the operating system's (flock), so a killed writer leaves none behind and its chunk is simply
computed again; a chunk counts only when its marker, written last, is there.

Nothing is forced to the disk: what a killed process has written stays in the kernel's page cache, in which every other
process sees it, so the markers hold whatever becomes of the writers. Only when the machine itself goes down without
shutting down may a marker outlive its chunk; the store is a cache, and is best deleted then.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CHUNK_ROWS = 256
_ZEROS = 2**20

Array = npt.NDArray[Any]
Fill = Callable[[int, int, Sequence[str], Mapping[str, Array]], Mapping[str, Array]]


class StoreFull(Exception):
    """The arrays do not fit in the store's disk budget; the message says by how much."""


class Store:
    """A folder of entries with a budget in bytes; the least recently used entries make room for new ones."""

    def __init__(self, root: Path, budget: int) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.budget = budget

    def entry(self, key: Mapping[str, Any], rows: int) -> "Entry":
        """Open the entry for `key` (JSON values), making its folder when there is none; it is in use until closed."""
        text = json.dumps({**key, "rows": rows, "chunk_rows": CHUNK_ROWS}, sort_keys=True)
        folder = self.root / hashlib.sha256(text.encode()).hexdigest()[:32]
        with self.locked():
            if not (folder / "key.json").exists():
                temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
                (temporary / "key.json").write_text(text)
                temporary.rename(folder)
            return Entry(self, folder, rows)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store's own lock: making, growing and evicting entries happen one at a time."""
        with _flock(self.root / "store.lock", fcntl.LOCK_EX):
            yield

    def make_room(self, needed: int, keep: Path) -> None:
        """Evict until `needed` more bytes fit; call with the lock held.

        Raises:
            StoreFull: the entries in use leave too little room.
        """
        entries = {
            folder: sum(file.stat().st_size for file in folder.glob("*.npy"))
            for folder in self.root.iterdir()
            if (folder / "key.json").exists()
        }
        used = sum(entries.values())
        by_age = sorted(entries, key=lambda folder: (folder / "key.json").stat().st_mtime)
        for folder in by_age:
            if used + needed <= self.budget:
                return
            if folder != keep and _evict(folder):
                used -= entries[folder]
        if used + needed > self.budget:
            raise StoreFull(
                f"the activation store needs {_gigabytes(needed)} more, and {_gigabytes(used)} of its "
                f"{_gigabytes(self.budget)} are in use"
            )


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

    def allocate(self, shapes: Mapping[str, tuple[int, ...]], dtype: npt.DTypeLike) -> None:
        """Make room for arrays [rows, *shape] that are not there yet.

        Raises:
            StoreFull: they do not fit in the budget.
        """
        with self._store.locked():
            missing = {name: shape for name, shape in shapes.items() if not self._file(name).exists()}
            bytes_each = {
                name: self._rows * int(np.prod(shape)) * np.dtype(dtype).itemsize for name, shape in missing.items()
            }
            self._store.make_room(sum(bytes_each.values()), self._folder)
            for name, shape in missing.items():
                temporary = self._file(name).with_suffix(".new")
                array = np.lib.format.open_memmap(temporary, "w+", np.dtype(dtype), (self._rows, *shape))
                _reserve(temporary, array.offset)
                temporary.rename(self._file(name))

    def read(self, name: str) -> Array:
        """The array, read-only and memory-mapped; only its filled chunks mean anything."""
        array: Array = np.load(self._file(name), mmap_mode="r")
        return array

    def fill(self, names: Sequence[str], compute: Fill) -> None:
        """Fill what is missing of the arrays `names`, sharing the work with other processes that do the same.

        Args:
            names: arrays that `allocate` has made.
            compute: called with (start, stop, missing names, filled arrays by name cut to these rows); returns the
                missing arrays' rows start..stop.
        """
        chunks = range(0, self._rows, CHUNK_ROWS)
        for wait in (False, True):  # First what no other works on; then wait and do what others left undone.
            for start in chunks:
                self._fill_chunk(start, names, compute, wait)

    def _fill_chunk(self, start: int, names: Sequence[str], compute: Fill, wait: bool) -> None:
        if not self._missing(start, names):
            return
        flags = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            with _flock(self._folder / f"chunk-{start}.lock", flags):
                missing = self._missing(start, names)
                if missing:
                    self._compute_chunk(start, missing, compute)
        except BlockingIOError:
            return

    def _compute_chunk(self, start: int, missing: list[str], compute: Fill) -> None:
        stop = min(start + CHUNK_ROWS, self._rows)
        others = [file.stem for file in self._folder.glob("*.npy") if file.stem not in missing]
        filled = {name: self.read(name)[start:stop] for name in others if not self._missing(start, [name])}
        values = compute(start, stop, missing, filled)
        for name in missing:
            array = np.load(self._file(name), mmap_mode="r+")
            array[start:stop] = values[name]
            # No flush: it would wait for the disk at every chunk, about 8 % of a fill, and only a power cut needs it.
            self._marker(name, start).touch()

    def _missing(self, start: int, names: Sequence[str]) -> list[str]:
        return [name for name in names if not self._marker(name, start).exists()]

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.npy"

    def _marker(self, name: str, start: int) -> Path:
        return self._folder / f"{name}.{start}.filled"


def _reserve(file: Path, header: int) -> None:
    """Take disk space for all of a file that is sparse behind its header: a full disk would later be a bus error."""
    size = file.stat().st_size
    with file.open("r+b") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)
            return
        stream.seek(header)  # macOS has no such call; zeros are what the file reads as anyway.
        for start in range(header, size, _ZEROS):
            stream.write(bytes(min(_ZEROS, size - start)))


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
            # Renamed first: a process that looks now finds no entry, never half of one.
            doomed = folder.with_name(f".evicted-{folder.name}")
            folder.rename(doomed)
    except BlockingIOError:
        return False
    shutil.rmtree(doomed)
    return True


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
