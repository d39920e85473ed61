"""Decoded photos of a split, kept in the activation store."""

import itertools
import mmap
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL

from trainables.activations.array_file import Array
from trainables.activations.store import Store, StoreFull
from trainables.data.dataset import Dataset, EncodedPhoto
from trainables.data.images import decode_resized
from trainables.data.pictures.samples import RULES
from trainables.data.shards import read_split
from trainables.errors import UserError
from trainables.versions import versions

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Photos:
    """Some photos of one split, in the dataset's order.

    `pixels` is uint8 [m, size, size, 3] (memory-mapped), of which photo i is number `rows[i]` (None: number i);
    `labels` is int64 [n]; `fingerprint` names these very photos.
    """

    pixels: Array
    labels: Ints
    photo_ids: Sequence[str]
    fingerprint: str
    rows: Ints | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: Ints) -> "Photos":
        """The photos at `rows`; no pixels are copied before they are read."""
        ids = [self.photo_ids[row] for row in rows]
        fingerprint = f"{self.fingerprint}/{','.join(map(str, rows))}"
        return Photos(self.pixels, self.labels[rows], ids, fingerprint, self._places(rows))

    def read(self, rows: Ints) -> Array:
        """Pixels at `rows`, uint8 [len(rows), size, size, 3]."""
        return np.asarray(self.pixels[self._places(rows)])

    def let_go(self) -> None:
        """Take the pages that were read off this process's memory; the kernel's cache keeps them."""
        mapped = getattr(self.pixels, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)

    def _places(self, rows: Ints) -> Ints:
        return rows if self.rows is None else self.rows[rows]


def decode_photos(dataset: Dataset, split: str, image_size: int, store: Store, threads: int) -> Photos:
    """Return a split's photos from the store; the first process that asks decodes them into it.

    Raises:
        UserError: they do not fit in the store's budget.
    """
    rows = dataset.photos(split)
    readers = _other_readers(row.source for row in rows)
    key = {
        "what": "decoded photos",
        "dataset": dataset.fingerprint,
        "split": split,
        "image_size": image_size,
        "pillow": PIL.__version__,
    } | ({"readers": readers} if readers else {})
    reader = _Reader(dataset, split)
    with ThreadPoolExecutor(threads) as pool:

        def decode(start: int, stop: int, _names: object, _filled: object) -> dict[str, Array]:
            encoded = [photo.image for photo in reader.rows(start, stop)]
            return {"pixels": np.stack(list(pool.map(lambda image: decode_resized(image, image_size), encoded)))}

        shape = {"pixels": (image_size, image_size, 3)}
        try:
            _, arrays = store.opened(key, len(rows), shape, np.uint8, decode)
        except StoreFull as error:
            raise UserError(
                f"decoded photos must fit in the store, and do not: {error}; "
                "give it more with store_gb, or another disk with store"
            ) from None
    labels = np.array([row.label for row in rows], np.int64)
    return Photos(arrays["pixels"], labels, [row.photo_id for row in rows], f"{dataset.fingerprint}/{split}{readers}")


def _other_readers(sources: Iterable[str]) -> str:
    """What else than Pillow may have made the pixels, with versions; "" where all photos are JPEG."""
    if all(source.lower().endswith((".jpg", ".jpeg")) for source in sources):
        return ""
    names = ("pillow-heif", "tifffile", "imagecodecs")
    return f"/rules {RULES}, {', '.join(f'{name} {number}' for name, number in versions(names).items())}"


class _Reader:
    """Reads ranges of a split's photos in rising order without starting over for each."""

    def __init__(self, dataset: Dataset, split: str) -> None:
        self._dataset, self._split = dataset, split
        self._position = 0
        self._photos: Iterator[EncodedPhoto] = read_split(dataset, split)

    def rows(self, start: int, stop: int) -> list[EncodedPhoto]:
        if start < self._position:
            self._position, self._photos = 0, read_split(self._dataset, self._split)
        skipped, self._position = start - self._position, stop
        return list(itertools.islice(self._photos, skipped, skipped + stop - start))
