"""Inputs of a tail for chosen photos of several splits, laid end to end."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainables.activations.features import Features
from trainables.activations.photos import Ints


class Gathered:
    """Answers `batch` as `Features` does, for some rows of each of several: what is stored is stored once for all."""

    def __init__(self, pieces: Sequence[tuple[Features, Ints]]) -> None:
        """Args: `pieces` are features with the rows of theirs that count, int64, in their order."""
        self._pieces = [piece for piece in pieces if len(piece[1])]
        self._ends = np.cumsum([len(rows) for _, rows in self._pieces])

    def batch(self, rows: Ints, view: int | None) -> list[Any]:
        """Inputs for `rows`, which rise, float32 arrays [len(rows), ...]; view None is the photo as it is."""
        found, first = [], 0
        for (features, own), end in zip(self._pieces, self._ends, strict=True):
            inside = rows[(rows >= first) & (rows < end)] - first
            if len(inside):
                found.append(features.batch(own[inside], view))
            first = end
        return found[0] if len(found) == 1 else [np.concatenate(arrays) for arrays in zip(*found, strict=True)]
