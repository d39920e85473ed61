"""Features of photos that a review has looked at, kept until it ends."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.errors import UserError
from trainables.files.output import write_json

_ROWS, _STATE = "features.npy", "state.json"


class KeptFeatures:
    """The first `done` of float32 [n, width] rows, in a hidden folder beside the review's; a stopped one goes on there.

    Rows of other photos, weights or sizes, as `key` tells them, are not taken.
    """

    def __init__(self, out: Path, hashes: Sequence[str], key: Sequence[object]) -> None:
        """Args: `hashes` are of the photos' bytes, in their order; `key` is what else the features depend on."""
        self.folder = out.with_name(f".{out.name}.features")
        self._photos = len(hashes)
        self._key = hashlib.sha256(json.dumps([list(hashes), list(key)]).encode()).hexdigest()
        self.done = 0
        try:
            state = json.loads((self.folder / _STATE).read_text())
            if state["key"] == self._key and (self.folder / _ROWS).is_file():
                self.done = int(state["done"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # Nothing was kept, or of something else.

    def rows(self, width: int) -> npt.NDArray[np.float32]:
        """All rows, memory-mapped; those from `done` on are to be filled.

        Raises:
            UserError: the folder cannot be written.
        """
        file = self.folder / _ROWS
        try:
            if self.done:
                return np.lib.format.open_memmap(file, mode="r+")
            self.folder.mkdir(parents=True, exist_ok=True)
            return np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(self._photos, width))
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written: {error.strerror}") from None

    def keep(self, rows: npt.NDArray[np.float32], done: int) -> None:
        """Note that the first `done` rows are filled, when they are on the disk."""
        if isinstance(rows, np.memmap):
            rows.flush()
        write_json({"key": self._key, "done": done}, self.folder / _STATE)
        self.done = done

    def remove(self) -> None:
        """Delete them, when the review is written."""
        shutil.rmtree(self.folder, ignore_errors=True)
