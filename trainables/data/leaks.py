"""Prove that no photo of one split is in another: by id, by content, and by group; from the shards' own bytes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from trainables.data.dataset import SPLITS, Dataset, EncodedPhoto, Photo
from trainables.data.images import ImageUnreadable
from trainables.data.inspection import inspect_bytes
from trainables.data.options import NEAR_DUPLICATES
from trainables.data.shards import read_split
from trainables.device import usable_cores
from trainables.near_duplicates.descriptor import ImageDescriptor
from trainables.near_duplicates.links import near_duplicate_links
from trainables.near_duplicates.union_find import components, links_of_equal

PHOTO_ID, CONTENT, GROUP = "photo id", "content hash", "group"
_AT_ONCE = 64


class SplitPair(BaseModel):
    """How many photo ids, content hashes or groups (`by`) the splits `a` and `b` share; 0 is the proof."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    a: str
    b: str
    by: str
    shared: int


class LeakProof(BaseModel):
    """What was compared and what was found.

    `photos` are the counts by split; `leaks` has a line for each shared id, hash or group; `notes` what the dataset's
    own rule does not forbid but a reader should know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    photos: dict[str, int]
    pairs: list[SplitPair]
    leaks: list[str]
    notes: list[str]

    @property
    def passed(self) -> bool:
        """No two splits share anything."""
        return not any(pair.shared for pair in self.pairs)

    def lines(self) -> list[str]:
        """The proof for people: what was compared, then each pair of splits, then the notes."""
        counts = ", ".join(f"{count} {split}" for split, count in self.photos.items())
        verdict = "the splits are disjoint" if self.passed else "THE SPLITS LEAK"
        rows = [f"  {pair.a} and {pair.b} share {pair.shared} by {pair.by}" for pair in self.pairs]
        return [f"{verdict} ({counts} photos)", *rows, *self.notes]


class _Seen(NamedTuple):
    """A photo as its bytes show it, without them; `look` is None where they do not decode."""

    row: Photo
    sha256: str
    look: ImageDescriptor | None

    @property
    def name(self) -> str:
        return f"{self.row.photo_id} ({self.row.source})"


def prove_disjoint(dataset: Dataset) -> LeakProof:
    """Compare the splits by photo id, by the hash of the stored bytes, and by group.

    Groups are what the dataset recorded, exact copies, and, where its rule keeps near-duplicates together, what the
    pictures themselves show. Hashes and looks are taken anew: photos.csv is not believed.

    Raises:
        UserError: a shard is damaged.
    """
    seen = list(_look_at(dataset))
    hashes = [photo.sha256 for photo in seen]
    alike = _alike(seen)
    together = [*links_of_equal([photo.row.group for photo in seen]), *links_of_equal(hashes)]
    guarded = NEAR_DUPLICATES in dataset.manifest.grouping
    keys: dict[str, Sequence[object]] = {
        PHOTO_ID: [photo.row.photo_id for photo in seen],
        CONTENT: hashes,
        GROUP: components(len(seen), [*together, *(alike if guarded else [])]),
    }
    pairs, leaks = [], []
    for by, values in keys.items():
        for a, b in combinations(SPLITS, 2):
            shared = _shared(seen, values, a, b)
            pairs.append(SplitPair(a=a, b=b, by=by, shared=len(shared)))
            leaks += [f"leak by {by}: {left.name} is in {a}, {right.name} in {b}" for left, right in shared]
    counts = {split: sum(photo.row.split == split for photo in seen) for split in SPLITS}
    notes = [] if guarded else _unguarded(seen, alike)
    return LeakProof(fingerprint=dataset.fingerprint, photos=counts, pairs=pairs, leaks=leaks, notes=notes)


def _shared(seen: Sequence[_Seen], keys: Sequence[object], a: str, b: str) -> list[tuple[_Seen, _Seen]]:
    """A photo of each split for every key that is in both."""
    in_a = {key: photo for photo, key in zip(seen, keys, strict=True) if photo.row.split == a}
    in_b = {key: photo for photo, key in zip(seen, keys, strict=True) if photo.row.split == b}
    return [(photo, in_b[key]) for key, photo in in_a.items() if key in in_b]


def _unguarded(seen: Sequence[_Seen], alike: Iterable[tuple[int, int]]) -> list[str]:
    apart = sum(seen[left].row.split != seen[right].row.split for left, right in alike)
    rule = f"this dataset was made without --group {NEAR_DUPLICATES}"
    return [f"note: at least {apart} near-duplicates stand in two splits; {rule}"] if apart else []


def _alike(seen: Sequence[_Seen]) -> list[tuple[int, int]]:
    positions = [position for position, photo in enumerate(seen) if photo.look is not None]
    looks = [photo.look for photo in seen if photo.look is not None]
    links = near_duplicate_links(looks, [seen[position].row.family for position in positions])
    return [(positions[left], positions[right]) for left, right in links]


def _look_at(dataset: Dataset) -> Iterator[_Seen]:
    """Every photo of every split; threads suffice, as Pillow lets other threads run while it decodes."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        for split in SPLITS:
            described = _in_turns(pool, read_split(dataset, split))
            for row, (sha256, look) in zip(dataset.photos(split), described, strict=True):
                yield _Seen(row, sha256, look)


def _in_turns(pool: ThreadPoolExecutor, photos: Iterable[EncodedPhoto]) -> Iterator[tuple[str, ImageDescriptor | None]]:
    """`_describe` each, few at a time: `pool.map` alone would read all photos into memory."""
    waiting: list[bytes] = []
    for photo in photos:
        waiting.append(photo.image)
        if len(waiting) == _AT_ONCE:
            yield from pool.map(_describe, waiting)
            waiting = []
    yield from pool.map(_describe, waiting)


def _describe(image: bytes) -> tuple[str, ImageDescriptor | None]:
    try:
        seen = inspect_bytes(image)
    except ImageUnreadable:
        return hashlib.sha256(image).hexdigest(), None
    return seen.sha256, seen.look
