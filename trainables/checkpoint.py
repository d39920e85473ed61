"""A trial's checkpoints: whole or absent, two generations, each with the result that it was written for."""

import hashlib
import io
import json
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

State = dict[str, npt.NDArray[Any]]

# epoch-000007.<the first 16 digits of the content's SHA-256>.npz
_DIGITS = 16
_NAME = re.compile(r"epoch-(\d{6,})\.([0-9a-f]{16})\.npz")
_RESULT = "result.json"
GENERATIONS = 2


@dataclass(frozen=True)
class Checkpoint:
    """What training goes on from: the arrays after `epoch`, and the result of that epoch as it was reported."""

    epoch: int
    state: State
    result: dict[str, Any]


class Checkpoints:
    """The checkpoints of one trial in one folder.

    A file gets its name, which holds its checksum, when it is whole; the generation before stays until then. So a
    process that is killed at any moment leaves a whole one, and a file that a full disk or a power cut has truncated
    is known by its checksum, which makes an `fsync` per epoch unnecessary.

    The result is in the checkpoint because a driver may be killed before it hears of the epoch: the trial then
    reports it once more, and no epoch is either lost or trained twice.
    """

    def __init__(self, folder: Path, every: int) -> None:
        """Args: `every` is in epochs; 0 writes none."""
        self._folder = folder
        self._every = every

    def due(self, result: dict[str, Any]) -> bool:
        """Say whether the epoch of this result is one after which a checkpoint is written."""
        return self._every > 0 and (int(result["epoch"]) % self._every == 0 or bool(result.get("done")))

    def write(self, state: State, result: dict[str, Any]) -> str:
        """Write the state after `result["epoch"]`, then delete all but the newest generations.

        Returns:
            Why it could not be written (a full disk, say), or nothing: training can go on without.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        epoch = f"epoch-{int(result['epoch']):06d}"
        # The worker of a driver that was killed may live a moment longer and write the same file.
        temporary = self._folder / f".{epoch}.{socket.gethostname()}-{os.getpid()}"
        try:
            digest = _write(state, result, temporary)
            temporary.replace(self._folder / f"{epoch}.{digest}.npz")
        except OSError as error:
            temporary.unlink(missing_ok=True)
            return f"no checkpoint of epoch {result['epoch']}: {error.strerror}"
        for old in generations(self._folder)[GENERATIONS:]:
            old.unlink(missing_ok=True)
        return ""

    def newest(self) -> tuple[Checkpoint | None, str]:
        """Return the newest whole checkpoint (None: begin anew), and what was wrong with newer ones, now deleted."""
        for unfinished in self._folder.glob(".epoch-*"):
            unfinished.unlink(missing_ok=True)
        damaged = []
        found = None
        for file in generations(self._folder):
            found = _read(file)
            if found is not None:
                break
            damaged.append(f"the checkpoint of epoch {epoch_of(file)} is damaged")
            file.unlink(missing_ok=True)
        if not damaged:
            return found, ""
        return found, f"{', '.join(damaged)}: goes on after epoch {found.epoch if found else 0}"


def generations(folder: Path) -> list[Path]:
    """Return the files of a trial's checkpoints, newest first; the unfinished are not among them."""
    files = [file for file in folder.glob("epoch-*.npz") if _NAME.fullmatch(file.name)]
    return sorted(files, key=lambda file: (epoch_of(file), file.name), reverse=True)


def epoch_of(file: Path) -> int:
    """Return the epoch after which a checkpoint was written, from its name."""
    match = _NAME.fullmatch(file.name)
    assert match is not None
    return int(match[1])


class _Hashing:
    """A file that takes the SHA-256 of all that is written to it; it cannot seek, so that nothing is written twice."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content: bytes | memoryview) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def read(self, size: int = -1) -> bytes:
        """NumPy takes only what has this for a file."""
        raise io.UnsupportedOperation("read")

    def flush(self) -> None:
        self._file.flush()


def _write(state: State, result: dict[str, Any], file: Path) -> str:
    """Write a checkpoint as one pass over its bytes, and return their digest."""
    text = json.dumps(result, default=lambda value: value.item()).encode()
    with file.open("wb") as out:
        hashing = _Hashing(out)
        np.savez(hashing, allow_pickle=False, **{_RESULT: np.frombuffer(text, np.uint8)}, **state)
    return hashing.digest.hexdigest()[:_DIGITS]


def _read(file: Path) -> Checkpoint | None:
    try:
        content = file.read_bytes()
    except OSError:
        return None
    match = _NAME.fullmatch(file.name)
    if match is None or _digest(content) != match[2]:
        return None
    with np.load(io.BytesIO(content)) as arrays:
        state = dict(arrays)
    result = json.loads(state.pop(_RESULT).tobytes())
    return Checkpoint(int(match[1]), state, result)


def _digest(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
