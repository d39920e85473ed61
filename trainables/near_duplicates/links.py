"""Links between near-duplicates: photos that show the same picture.

It may be re-encoded, resized, retouched, cropped a little, mirrored, turned or relit. Two photos are near-duplicates
when descriptor.py finds them to be copies, or when their 64-bit perceptual hashes (DCT, `imagehash.phash`) differ in
at most `HASH_BITS` bits AND their 16 × 16 grey thumbnails correlate by at least `CORRELATION`. Neither of the two is
enough alone: on 3,972 real photos (Caltech-101, CUB-200, Leeds butterflies; 7.9 million pairs) 683 pairs are within 14
bits and 53 correlate above 0.9, many of them butterflies spread alike on white. Of all 95 close pairs, seen by eye,
from (10 bits, 0.88) on 41 remain, of which three show different photos; below, most do. Photos re-encoded at JPEG
quality 30, halved, quartered or squeezed square stay within 6 bits and 0.996; of those brightened by 20 % 99.9 % are
found, of those cropped by 2 % at each side 96 % by the hash alone.

Chains: likeness is passed on, so a class of things that all look alike (scanned digits, starfish) could melt into one
group. Copies of one picture crowd around it, look-alikes form chains. Where more than `CHAIN` photos hang together and
none of them is linked to `CROWD` of the others, only links beyond doubt count: as near as re-encoded copies are.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from trainables.device import usable_cores
from trainables.near_duplicates.descriptor import ImageDescriptor, TransformedCopies

HASH_BITS = 10
CORRELATION = 0.88
SURE_BITS = 6
SURE_CORRELATION = 0.97
CHAIN = 10
CROWD = 0.8
MOST_DOUBTFUL = 10_000  # pairs: in a set of things that all look alike there are millions
_BLOCK = 128
_TILE = 4096  # photos compared at once: some megabytes, whatever the set's size
_FLAT = 16.0  # length of a thumbnail whose contrast is one grey level

_Bools = npt.NDArray[np.bool_]
_Positions = npt.NDArray[np.int64]


def near_duplicate_links(descriptors: Sequence[ImageDescriptor], classes: Sequence[str]) -> list[tuple[int, int]]:
    """Links (i, j), i < j, that join all photos showing the same picture: a spanning set, not every pair.

    Every pair is compared, in blocks of rows. That two photos are of different `classes` speaks against a copy, so
    there only links beyond doubt count. The order of the photos changes nothing: what one run keeps together, another
    run must not call a leak.
    """
    return compare(descriptors, classes).links


class Compared(NamedTuple):
    """`links` as of `near_duplicate_links`; `doubtful` pairs (i, j), i < j, of different classes that look alike.

    A doubtful pair would be linked if both were of one class: a copy that was cropped, say, or things that look alike.
    """

    links: list[tuple[int, int]]
    doubtful: list[tuple[int, int]]


def compare(descriptors: Sequence[ImageDescriptor], classes: Sequence[str]) -> Compared:
    """Compare every pair of photos; see `near_duplicate_links`."""
    if not descriptors:
        return Compared([], [])
    doubtful: list[tuple[int, int]] = []
    order = sorted(range(len(descriptors)), key=descriptors.__getitem__)
    labels = np.unique(np.asarray(classes)[order], return_inverse=True)[1]
    likely, sure = Forest(len(order)), Forest(len(order))
    degrees = np.zeros(len(order), dtype=np.int64)
    for rows, columns, certain in _blocks([descriptors[position] for position in order]):
        same_class = labels[rows] == labels[columns]
        unsure = ~same_class & ~certain
        pairs = zip(rows[unsure].tolist(), columns[unsure].tolist(), strict=True)
        doubtful += [_pair(order, i, j) for i, j in islice(pairs, MOST_DOUBTFUL - len(doubtful))]
        rows, columns, certain = rows[~unsure], columns[~unsure], certain[~unsure]
        likely.add(rows, columns)
        for ends in (rows, columns):
            degrees += np.bincount(ends, minlength=len(order))
        sure.add(rows[certain], columns[certain])
    # Which photos hang in a chain of look-alikes, rather than in a crowd of copies.
    roots = likely.roots()
    sizes, widest = np.bincount(roots, minlength=len(order)), np.zeros(len(order), dtype=np.int64)
    np.maximum.at(widest, roots, degrees)
    chained = ((sizes > CHAIN) & (widest < CROWD * (sizes - 1)))[roots]
    links = [link for link in likely.links if not chained[link[0]]] + [link for link in sure.links if chained[link[0]]]
    return Compared(sorted(_pair(order, i, j) for i, j in links), sorted(doubtful))


def _pair(order: Sequence[int], i: int, j: int) -> tuple[int, int]:
    return min(order[i], order[j]), max(order[i], order[j])


def _blocks(descriptors: Sequence[ImageDescriptor]) -> Iterator[tuple[_Positions, _Positions, _Bools]]:
    """Per block of rows: the pairs (row, column), column > row, that are alike, and whether that is beyond doubt."""
    hashes = np.array([one.perceptual_hash for one in descriptors], dtype=np.uint64)
    # uint8 [n, 256]
    thumbnails = np.frombuffer(b"".join(one.thumbnail for one in descriptors), dtype=np.uint8).reshape(len(hashes), -1)
    transformed = TransformedCopies(descriptors)

    def block(start: int) -> tuple[_Positions, _Positions, _Bools]:
        stop = min(start + _BLOCK, len(descriptors))
        parts = [_by_hash(hashes, thumbnails, start, stop), transformed.of_block(start, stop)]
        rows, columns, certain = (np.concatenate(each) for each in zip(*parts, strict=True))
        # A pair found in both ways is certain where either says so: those go first, and the first is kept.
        order = np.argsort(~certain, kind="stable")
        pairs, first = np.unique((rows * len(hashes) + columns)[order], return_index=True)
        return pairs // len(hashes) + start, pairs % len(hashes) + start, certain[order][first]

    # Of one block in each thread the products are too small for threads of their own.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable_cores()) as pool:
        yield from pool.map(block, range(0, len(descriptors), _BLOCK))


def _by_hash(
    hashes: npt.NDArray[np.uint64], thumbnails: npt.NDArray[np.uint8], start: int, stop: int
) -> tuple[_Positions, _Positions, _Bools]:
    """Pairs of a block, from `start` on, near by hash and with thumbnails that correlate; and which are certain."""
    found = []
    for first in range(start, len(hashes), _TILE):
        bits = np.bitwise_count(hashes[start:stop, None] ^ hashes[None, first : first + _TILE])
        rows, columns = np.divmod(np.flatnonzero(bits <= HASH_BITS), bits.shape[1])
        rows, columns = rows + start, columns + first
        found.append((rows[columns > rows] - start, columns[columns > rows] - start))
    rows, columns = (np.concatenate(each) for each in zip(*found, strict=True))
    alike, certain = [], []
    for some in range(0, len(rows), _TILE):
        left, right = rows[some : some + _TILE] + start, columns[some : some + _TILE] + start
        correlation = np.einsum("ij,ij->i", _standard(thumbnails[left]), _standard(thumbnails[right]))
        alike.append(correlation >= CORRELATION)
        bits = np.bitwise_count(hashes[left] ^ hashes[right])
        certain.append((bits <= SURE_BITS) & (correlation >= SURE_CORRELATION))
    if not alike:
        return rows, columns, np.zeros(0, dtype=np.bool_)
    kept = np.concatenate(alike)
    return rows[kept], columns[kept], np.concatenate(certain)[kept]


def _standard(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """float32 [n, 256], mean 0 and length 1, so that a product is a correlation; flat ones are 0."""
    centred = thumbnails - thumbnails.mean(axis=1, keepdims=True, dtype=np.float32)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.where(length > _FLAT, length, np.inf), dtype=np.float32)


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
        roots = np.array(self._parent, dtype=np.int64)
        while not np.array_equal(above := roots[roots], roots):  # Each step halves the way up.
            roots = above
        return roots

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
