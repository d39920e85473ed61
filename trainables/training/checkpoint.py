"""Checkpoints of a trial: two generations, each whole or absent."""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from trainables.errors import UserError
from trainables.files.bucket import open_store

State = dict[str, npt.NDArray[Any]]

# epoch-000007.<the first 16 digits of the content's SHA-256>.npz
_DIGITS = 16
_NAME = re.compile(r"epoch-\d{6,}\.[0-9a-f]{16}\.npz")
_RESULT, _EARLIER = "result.json", "earlier.json"
GENERATIONS = 2

Result = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """What training goes on from: the arrays after `epoch`, and the result of that epoch as it was reported.

    `earlier` holds the results of the epochs before it.
    """

    epoch: int
    state: State
    result: Result
    earlier: tuple[Result, ...] = ()

    def unheard(self, known: int | None) -> list[Result]:
        """Return the last result, and those before it that are later than epoch `known` (None: no others)."""
        earlier = () if known is None else self.earlier
        return [*(result for result in earlier if int(result["epoch"]) > (known or 0)), self.result]


class Checkpoints:
    """The checkpoints of one trial in one place: a folder, or a URL that another machine reaches too.

    A file gets its name, which holds its checksum, when it is whole; the generation before stays until then. So a
    process that is killed at any moment leaves a whole one, and a file that a full disk or a power cut has truncated
    is known by its checksum, which makes an `fsync` per epoch unnecessary.

    The results are in the checkpoint because a driver may be killed before it hears of the epoch, or before its study
    reaches the URL: the trial then reports them once more, and no epoch is either lost or trained twice.
    """

    def __init__(self, place: Path | str, every: int) -> None:
        """Args: `every` is in epochs; 0 writes none."""
        self._store = open_store(place)
        self._every = every

    def due(self, result: dict[str, Any]) -> bool:
        """Say whether the epoch of this result is one after which a checkpoint is written."""
        return self._every > 0 and (int(result["epoch"]) % self._every == 0 or bool(result.get("done")))

    def write(self, state: State, result: Result, earlier: Sequence[Result] = ()) -> str:
        """Write the state after `result["epoch"]`; then delete all but the newest generations.

        Returns:
            Why it could not be written (a full disk, say), or nothing: training can go on without.
        """
        epoch = f"epoch-{int(result['epoch']):06d}"
        values = {_RESULT: result, _EARLIER: list(earlier)}
        texts = {name: json.dumps(value, default=lambda one: one.item()) for name, value in values.items()}
        arrays = {**state, **{name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()}}

        def written(file: Path) -> str:
            with file.open("wb") as out:
                hashing = _Hashing(out)
                np.savez(hashing, allow_pickle=False, **arrays)
            return f"{epoch}.{hashing.digest.hexdigest()[:_DIGITS]}.npz"

        try:
            self._store.add(epoch, written)
            for old in newest_first(self._store.sizes())[GENERATIONS:]:
                self._store.delete(old)
        except (OSError, UserError) as error:
            return f"no checkpoint of epoch {result['epoch']}: {getattr(error, 'strerror', None) or error}"
        return ""

    def newest(self) -> tuple[Checkpoint | None, str]:
        """Return the newest whole checkpoint (None: begin anew), and what was wrong with newer ones, now deleted.

        Raises:
            UserError: the place is a URL and cannot be reached, which says nothing of what lies there.
        """
        self._store.clear_unfinished("epoch-")
        damaged = []
        found = None
        for name in newest_first(self._store.sizes()):
            content = self._store.read(name)
            if content is not None and f".{hashlib.sha256(content).hexdigest()[:_DIGITS]}." in name:
                found = _unpack(epoch_of(name), content)
                break
            damaged.append(f"the checkpoint of epoch {epoch_of(name)} is damaged")
            self._store.delete(name)
        if not damaged:
            return found, ""
        return found, f"{', '.join(damaged)}: goes on after epoch {found.epoch if found else 0}"


def newest_first(names: Iterable[str]) -> list[str]:
    """Return those of `names` that are a checkpoint's, newest first; the unfinished are not among them."""
    found = [name for name in names if _NAME.fullmatch(name.rpartition("/")[2])]
    return sorted(found, key=lambda name: (epoch_of(name), name), reverse=True)


def epoch_of(file: Path | str) -> int:
    """Return the epoch after which a checkpoint was written, from its name."""
    return int(Path(file).name.removeprefix("epoch-").partition(".")[0])


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


def _unpack(epoch: int, content: bytes) -> Checkpoint:
    with np.load(io.BytesIO(content)) as arrays:
        state = dict(arrays)
    result = json.loads(state.pop(_RESULT).tobytes())
    # One that was written before there were earlier results in it has none.
    earlier = json.loads(state.pop(_EARLIER).tobytes()) if _EARLIER in state else []
    return Checkpoint(epoch, state, result, tuple(earlier))
