"""Proof from the shards' bytes that the splits share no photo."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice

from pydantic import BaseModel

from trainables.data.dataset import SPLITS, Dataset, Photo
from trainables.data.folds import Parting
from trainables.data.images import ImageUnreadable
from trainables.data.options import NEAR_DUPLICATES
from trainables.data.photo_files import inspect_bytes
from trainables.data.shards import read_split
from trainables.device import usable_cores
from trainables.near_duplicates.descriptor import ImageDescriptor
from trainables.near_duplicates.links import MOST_DOUBTFUL, compare, components, links_of_equal

PHOTO_ID, CONTENT, GROUP = "photo id", "content hash", "group"
_AT_ONCE = 64
MOST_SHOWN = 20
LOOKED_FOR = (
    "looked for: equal bytes; pictures re-encoded, resized, mirrored, turned by up to 20 degrees, zoomed or cropped by "
    "up to 10 % in all, relit. Not found: larger crops, cut-outs, other shots of one scene"
)


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
        return [f"{verdict} ({counts} photos)", *rows, LOOKED_FOR, *self.notes]


def prove_disjoint(dataset: Dataset, partings: Sequence[Parting] = ()) -> LeakProof:
    """Compare the splits, and the two sides of each parting, by photo id, by the stored bytes' hash, and by group.

    Groups are what the dataset recorded, exact copies, and, where its rule keeps near-duplicates together, what the
    pictures themselves show. Hashes and descriptors are computed anew: photos.csv is not believed.

    Raises:
        UserError: a shard is damaged.
    """
    seen = list(_inspected(dataset))
    rows, hashes = [row for row, _, _ in seen], [sha256 for _, sha256, _ in seen]
    decoded = [(position, descriptor) for position, (_, _, descriptor) in enumerate(seen) if descriptor is not None]
    descriptors = [descriptor for _, descriptor in decoded]
    found = compare(descriptors, [rows[position].family for position, _ in decoded])
    alike, doubtful = ([(decoded[left][0], decoded[right][0]) for left, right in pairs] for pairs in found)
    copies, notes = list(links_of_equal(hashes)), []
    if NEAR_DUPLICATES in dataset.manifest.grouping:
        copies += alike
    elif apart := sum(rows[left].split != rows[right].split for left, right in alike):
        rule = f"this dataset was made without --group {NEAR_DUPLICATES}"
        notes = [f"note: at least {apart} near-duplicates stand in two splits; {rule}"]
    notes += [*_two_labels(rows, components(len(rows), copies)), *_look_alikes(rows, doubtful)]
    keys: dict[str, Sequence[object]] = {
        PHOTO_ID: [row.photo_id for row in rows],
        CONTENT: hashes,
        GROUP: components(len(rows), [*links_of_equal([row.group for row in rows]), *copies]),
    }
    pairs, leaks = [], []
    for by, values in keys.items():
        of_split: dict[str, dict[object, str]] = {split: {} for split in SPLITS}
        for row, key in zip(rows, values, strict=True):
            of_split[row.split][key] = _named(row)
        for a, b in combinations(SPLITS, 2):
            shared = [(name, of_split[b][key]) for key, name in of_split[a].items() if key in of_split[b]]
            pairs.append(SplitPair(a=a, b=b, by=by, shared=len(shared)))
            leaks += [f"leak by {by}: {left} is in {a}, {right} in {b}" for left, right in shared]
        for number, parting in enumerate(partings, 1):
            a, b = f"fold {number}, trained on", f"fold {number}, held back"
            fit, judged = ({values[row]: row for row in side.tolist()} for side in parting)
            shared = [(_named(rows[fit[key]]), _named(rows[judged[key]])) for key in judged.keys() & fit.keys()]
            pairs.append(SplitPair(a=a, b=b, by=by, shared=len(shared)))
            leaks += [f"leak by {by}: {left} is in {a}, {right} in {b}" for left, right in sorted(shared)]
    counts = {split: sum(row.split == split for row in rows) for split in SPLITS}
    return LeakProof(fingerprint=dataset.fingerprint, photos=counts, pairs=pairs, leaks=leaks, notes=notes)


def _two_labels(rows: Sequence[Photo], pictures: Sequence[int]) -> list[str]:
    """A line for each of the `pictures` (one number per photo) with different labels, which all train the model."""
    members: dict[int, list[Photo]] = {}
    for row, picture in zip(rows, pictures, strict=True):
        members.setdefault(picture, []).append(row)
    mixed = [
        sorted(each, key=lambda row: row.source)
        for _, each in sorted(members.items())
        if len({row.family for row in each}) > 1
    ]
    return [
        f"note: one picture, two labels: {', '.join(f'{row.source} ({row.family})' for row in each)}; "
        "all are in training (`prepare --two-labels exclude` leaves them out)"
        for each in mixed
    ]


def _look_alikes(rows: Sequence[Photo], doubtful: Sequence[tuple[int, int]]) -> list[str]:
    """What was looked for, and the pairs of photos of different families that may be copies in different splits."""
    apart = [(rows[i], rows[j]) for i, j in doubtful if rows[i].split != rows[j].split]
    lines = []
    if apart:
        count = f"at least {len(apart)}" if len(doubtful) >= MOST_DOUBTFUL else f"{len(apart)}"
        lines.append(
            f"note: {count} pairs of photos of different families in different splits look alike: copies that were "
            "altered and labelled otherwise, or different things. They do not count as leaks; look at them"
        )
        lines += [f"  {_where(one)} and {_where(other)}" for one, other in apart[:MOST_SHOWN]]
        lines += [f"  and {len(apart) - MOST_SHOWN} more"] if len(apart) > MOST_SHOWN else []
    return lines


def _named(row: Photo) -> str:
    return f"{row.photo_id} ({row.source})"


def _where(row: Photo) -> str:
    return f"{row.source} ({row.split})"


def _inspected(dataset: Dataset) -> Iterator[tuple[Photo, str, ImageDescriptor | None]]:
    """Of every photo its row, and its SHA-256 and descriptor by its bytes; None where they do not decode.

    Threads suffice, as Pillow lets other threads run while it decodes.
    """

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
                    yield row, sha256, descriptor
