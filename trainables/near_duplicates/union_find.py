"""Union-find: connected components under links."""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

_Positions = npt.NDArray[np.int64]


class Forest:
    """Positions joined by links; keeps only the links that join two components, so it never outgrows the positions."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._roots = np.arange(count)
        self.links: list[tuple[int, int]] = []

    def add(self, left: _Positions, right: _Positions) -> None:
        """Add links; of millions between the same two components one is used."""
        known_left, known_right = self._roots[left], self._roots[right]
        apart = known_left != known_right
        codes = known_left[apart] * len(self._roots) + known_right[apart]
        _, first = np.unique(codes, return_index=True)
        for one, other in zip(left[apart][first].tolist(), right[apart][first].tolist(), strict=True):
            self.join(one, other)
        if len(first):
            self._roots = self.roots()

    def join(self, one: int, other: int) -> None:
        """Add a link."""
        low, high = sorted((self._root(one), self._root(other)))
        if low != high:
            self._parent[high] = low
            self.links.append((min(one, other), max(one, other)))

    def roots(self) -> _Positions:
        """For each position the first position of its component, int64 [count]."""
        return np.array([self._root(position) for position in range(len(self._parent))], dtype=np.int64)

    def _root(self, position: int) -> int:
        while self._parent[position] != position:
            self._parent[position] = self._parent[self._parent[position]]
            position = self._parent[position]
        return position


def components(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """For each of `count` positions, the first position of its component under `links`."""
    forest = Forest(count)
    for one, other in links:
        forest.join(one, other)
    return [int(root) for root in forest.roots()]


def links_of_equal(keys: Sequence[Hashable]) -> Iterable[tuple[int, int]]:
    """Links that connect all positions with the same key; None and "" are no keys."""
    first: dict[Hashable, int] = {}
    for position, key in enumerate(keys):
        if key:
            yield first.setdefault(key, position), position
