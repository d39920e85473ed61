"""Proof from the shards' bytes that the splits share no photo."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice
from typing import NamedTuple

from pydantic import BaseModel

from trainables.data.dataset import SPLITS, Dataset, Photo
from trainables.data.images import ImageUnreadable
from trainables.data.options import NEAR_DUPLICATES
from trainables.data.photo_files import inspect_bytes
from trainables.data.shards import read_split
from trainables.device import usable_cores
from trainables.near_duplicates.descriptor import ImageDescriptor
from trainables.near_duplicates.links import components, links_of_equal, near_duplicate_links

PHOTO_ID, CONTENT, GROUP = "photo id", "content hash", "group"
_AT_ONCE = 64


class SplitPair(BaseModel, extra="forbid", frozen=True):
    """How many photo ids, content hashes or groups (`by`) the splits `a` and `b` share; 0 is the proof."""

    a: str
    b: str
    by: str
    shared: int


class LeakProof(BaseModel, extra="forbid", frozen=True):
    """What was compared and what was found.

    `photos` are the counts by split; `leaks` has a line for each shared id, hash or group; `notes` what the dataset's
    own rule does not forbid but a reader should know.
    """

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
    """A photo as its bytes show it, without them; `descriptor` is None where they do not decode."""

    row: Photo
    sha256: str
    descriptor: ImageDescriptor | None

    @property
    def name(self) -> str:
        return f"{self.row.photo_id} ({self.row.source})"


def prove_disjoint(dataset: Dataset) -> LeakProof:
    """Compare the splits by photo id, by the hash of the stored bytes, and by group.

    Groups are what the dataset recorded, exact copies, and, where its rule keeps near-duplicates together, what the
    pictures themselves show. Hashes and descriptors are computed anew: photos.csv is not believed.

    Raises:
        UserError: a shard is damaged.
    """
    seen = list(_inspected(dataset))
    hashes = [photo.sha256 for photo in seen]
    decoded = [position for position, photo in enumerate(seen) if photo.descriptor is not None]
    descriptors = [photo.descriptor for photo in seen if photo.descriptor is not None]
    links = near_duplicate_links(descriptors, [seen[position].row.family for position in decoded])
    alike = [(decoded[left], decoded[right]) for left, right in links]
    together = [*links_of_equal([photo.row.group for photo in seen]), *links_of_equal(hashes)]
    notes = []
    if NEAR_DUPLICATES in dataset.manifest.grouping:
        together += alike
    elif apart := sum(seen[left].row.split != seen[right].row.split for left, right in alike):
        rule = f"this dataset was made without --group {NEAR_DUPLICATES}"
        notes = [f"note: at least {apart} near-duplicates stand in two splits; {rule}"]
    keys: dict[str, Sequence[object]] = {
        PHOTO_ID: [photo.row.photo_id for photo in seen],
        CONTENT: hashes,
        GROUP: components(len(seen), together),
    }
    pairs, leaks = [], []
    for by, values in keys.items():
        of_split: dict[str, dict[object, _Seen]] = {split: {} for split in SPLITS}
        for photo, key in zip(seen, values, strict=True):
            of_split[photo.row.split][key] = photo
        for a, b in combinations(SPLITS, 2):
            shared = [(photo, of_split[b][key]) for key, photo in of_split[a].items() if key in of_split[b]]
            pairs.append(SplitPair(a=a, b=b, by=by, shared=len(shared)))
            leaks += [f"leak by {by}: {left.name} is in {a}, {right.name} in {b}" for left, right in shared]
    counts = {split: sum(photo.row.split == split for photo in seen) for split in SPLITS}
    return LeakProof(fingerprint=dataset.fingerprint, photos=counts, pairs=pairs, leaks=leaks, notes=notes)


def _inspected(dataset: Dataset) -> Iterator[_Seen]:
    """Every photo of every split; threads suffice, as Pillow lets other threads run while it decodes."""

    def describe(image: bytes) -> tuple[str, ImageDescriptor | None]:
        try:
            inspection = inspect_bytes(image)
        except ImageUnreadable:
            return hashlib.sha256(image).hexdigest(), None
        return inspection.sha256, inspection.descriptor

    with ThreadPoolExecutor(usable_cores()) as pool:
        for split in SPLITS:
            rows, photos = iter(dataset.photos(split)), read_split(dataset, split)
            # Few at a time: `pool.map` alone would read all photos into memory.
            while images := [photo.image for photo in islice(photos, _AT_ONCE)]:
                for (sha256, descriptor), row in zip(pool.map(describe, images), rows, strict=False):
                    yield _Seen(row, sha256, descriptor)
