"""One array of the activation store on the disk: made in full, written row by row, checked by checksums."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

UNFINISHED = ".new"
_PIECE = 2**23  # bytes that are read at a time: a multiple of a block, and little beside a batch
_BLOCK = 512  # words of 8 bytes: a page of memory, the least that a disk loses
_ZEROS = 2**20


class ArrayFile:
    """A .npy file of `rows` rows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        """Make the file, of zeros; it has all of its disk space and appears whole."""
        temporary = self.path.with_suffix(UNFINISHED)
        try:
            array = np.lib.format.open_memmap(temporary, "w+", np.dtype(dtype), shape)
            _reserve(temporary, array.offset)
            temporary.rename(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self) -> Array | None:
        """The array, read-only and memory-mapped; None where there is no file or it is damaged."""
        try:
            array: Array = np.load(self.path, mmap_mode="r")
        except Exception:  # NumPy's reader of headers fails in many ways, and each means the same.
            return None
        return array if isinstance(array, np.memmap) and array.ndim else None

    def is_sound(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> bool:
        """Whether the file is there with this shape and type."""
        array = self.load()
        return array is not None and array.shape == shape and array.dtype == np.dtype(dtype)

    def write(self, start: int, values: Array) -> str:
        """Write rows from `start` on, and return their checksum; `flush` brings them to the disk."""
        array = self._sound()
        rows = np.ascontiguousarray(values, array.dtype)
        content = rows.reshape(-1).view(np.uint8)
        with self.path.open("r+b") as file:  # Not through memory: a full disk or a cut file would be a bus error.
            file.seek(_place(array, start))
            file.write(content.data)
        return _checksum(content[first : first + _PIECE] for first in range(0, len(content), _PIECE))

    def flush(self) -> None:
        """Wait until what was written is on the disk."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def checksum(self, start: int, stop: int) -> str:
        """The checksum of rows start..stop as they are in the file."""
        array = self._sound()
        first, last = _place(array, start), _place(array, stop)
        # Read, and not mapped: pages that are mapped count as this process's memory.
        return _checksum(
            np.fromfile(self.path, np.uint8, min(_PIECE, last - place), offset=place)
            for place in range(first, last, _PIECE)
        )

    def _sound(self) -> Any:
        array = self.load()
        if array is None:
            raise FileNotFoundError(f"{self.path} is gone or damaged")
        return array


def _place(array: Any, row: int) -> int:
    return int(array.offset + row * (array.nbytes // len(array)))


def _checksum(pieces: Iterator[npt.NDArray[np.uint8]]) -> str:
    """CRC-32 over the sums of pages: ten times as fast as over the bytes, and what a disk loses are pages."""
    crc = 0
    for piece in pieces:
        whole = len(piece) // (8 * _BLOCK) * 8 * _BLOCK
        sums = piece[:whole].view(np.uint64).reshape(-1, _BLOCK).sum(axis=1, dtype=np.uint64)
        crc = zlib.crc32(piece[whole:].data, zlib.crc32(sums.data, crc))
    return f"{crc:08x}"


def _reserve(file: Path, header: int) -> None:
    """Take disk space for all of a file that is sparse behind its header: a full disk would show only when written."""
    size = file.stat().st_size
    with file.open("r+b") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)
            return
        stream.seek(header)  # macOS has no such call; zeros are what the file reads as anyway.
        for start in range(header, size, _ZEROS):
            stream.write(bytes(min(_ZEROS, size - start)))
