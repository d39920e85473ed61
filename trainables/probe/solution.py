"""The probe's solution: which depths, their standardisation, a linear classifier; saved and loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.errors import UserError, message_of
from trainables.files.output import replacing

Floats = npt.NDArray[np.float32]
_ARRAYS = ("mean", "deviation", "kernel", "bias")


@dataclass(frozen=True)
class Solution:
    """A linear classifier on pooled features.

    `depths` are the operations whose pooled outputs are concatenated, in the backbone's order. `mean` and `deviation`
    float32 [features] are those of the photos that it was fitted on, as they are; `kernel` float32 [features, classes]
    and `bias` float32 [classes] turn (x - mean) / deviation into logits.
    """

    depths: tuple[str, ...]
    mean: Floats
    deviation: Floats
    kernel: Floats
    bias: Floats

    def logits(self, features: npt.NDArray[Any]) -> Floats:
        """Logits float32 [n, classes] of pooled features [n, features], which `Worker.pooled` gives for `depths`."""
        return np.asarray(self._standardised(features) @ self.kernel + self.bias, np.float32)

    def lengths(self, features: npt.NDArray[Any]) -> Floats:
        """Lengths of the standardised features, float32 [n]."""
        return np.asarray(np.linalg.norm(self._standardised(features), axis=1), np.float32)

    def _standardised(self, features: npt.NDArray[Any]) -> Floats:
        return np.asarray((np.asarray(features, np.float32) - self.mean) / self.deviation, np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All of it as named arrays; `from_arrays` makes it again."""
        return {"depths": np.array(self.depths), **{name: getattr(self, name) for name in _ARRAYS}}

    @classmethod
    def from_arrays(cls, arrays: Any) -> "Solution":
        """The solution whose `arrays` these are."""
        return cls(tuple(map(str, arrays["depths"])), *(np.asarray(arrays[name], np.float32) for name in _ARRAYS))

    def save(self, file: Path) -> None:
        """Write one .npz; a reader sees the old file or the whole new one."""
        save_arrays(self.arrays(), file)

    @classmethod
    def load(cls, file: Path) -> "Solution":
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            with np.load(file) as arrays:
                return cls.from_arrays(arrays)
        except Exception as error:  # NumPy fails in many ways on a file that is none of its own.
            rule = f"{file} is missing or damaged ({message_of(error)})"
            raise UserError(
                f"{rule}; delete {file.parent}, and `python -m search resume` finds the probe again"
            ) from None


def save_arrays(arrays: dict[str, npt.NDArray[Any]], file: Path) -> None:
    """Write one .npz; a reader sees the old file or the whole new one."""
    with replacing(file) as temporary, temporary.open("wb") as stream:  # A stream: numpy appends .npz to a name.
        np.savez(stream, allow_pickle=False, **arrays)


def standardisation(features: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Mean and deviation of each column of `features` [n, features], float32 each; 1 for a column that is constant."""
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    # Rounding leaves a constant column a deviation of about 1e-7 of its value: dividing by it would make noise large.
    constant = deviation <= 1e-5 * np.abs(mean) + 1e-12
    return mean.astype(np.float32), np.where(constant, 1, deviation).astype(np.float32)
