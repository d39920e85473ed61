"""Inputs of a tail: stored activations, or the same computed by batch.

Both answer `batch(rows, view)` with the same values for the same photo and view; the tests hold them to that.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from trainables.activations.photos import Ints, Photos
from trainables.activations.prefix import Prefix
from trainables.activations.store import Array, Entry, Store, StoreFull
from trainables.network.cut import PIXELS


class Features(Protocol):
    """Inputs of a tail for some photos."""

    def batch(self, rows: Ints, view: int | None) -> list[Any]:
        """The tensors that cross the cut for `rows`, float32 [len(rows), ...]; view None is the photo as it is."""
        ...


@dataclass
class StoreUse:
    """What a run had from the store, counted in rows: one view of one photo.

    `rows` were read, of which this process had computed `filled` (`filled_bytes` on the disk) in `fill_seconds`,
    waiting for others that filled the same included.
    """

    rows: int = 0
    filled: int = 0
    filled_bytes: int = 0
    fill_seconds: float = 0.0

    def take(self) -> "StoreUse":
        """Return a copy, and count from zero again."""
        taken = replace(self)
        self.rows = self.filled = self.filled_bytes = 0
        self.fill_seconds = 0.0
        return taken


class UncachedFeatures:
    """Computes the prefix for every batch again: the reference, and the fallback where the store has no room."""

    def __init__(self, prefix: Prefix, photos: Photos, cut: str) -> None:
        self._prefix = prefix
        self._photos = photos
        self._cut = cut

    def batch(self, rows: Ints, view: int | None) -> list[Any]:
        """What crosses the cut, float32 [len(rows), ...]; scaled pixels where nothing is frozen."""
        pixels = self._prefix.pixels(self._photos, rows, view)
        return [pixels] if self._cut == PIXELS else self._prefix.run(pixels, PIXELS, self._cut.split("+"))


class StoredFeatures:
    """Reads the prefix's output from the store, computing each view the first time that any trial asks for it.

    Activations lie there in the configuration's `store_dtype`; batches are float32.
    Where a view does not fit in the store's budget, its batches are computed as they come, and `fallback` says why.
    """

    def __init__(
        self,
        prefix: Prefix,
        photos: Photos,
        store: Store,
        cut: str,
        plan: Sequence[str],
        use: StoreUse | None = None,
    ) -> None:
        """Args: `cut` is what batches hold; `plan` all the cuts worth computing in one pass, `cut` among them; `use`
        is counted up."""
        self._prefix = prefix
        self._photos = photos
        self._store = store
        self._names = cut.split("+")
        self._shapes = {name: shape for each in plan for name, shape in prefix.shape(each).items()}
        self._views: dict[int | None, tuple[Entry, list[Array]]] = {}
        self._uncached = UncachedFeatures(prefix, photos, cut)
        self._use = use or StoreUse()
        self.fallback: str | None = None

    def batch(self, rows: Ints, view: int | None) -> list[Any]:
        """Stored activations, float32 [len(rows), ...], one array for each tensor that crosses the cut."""
        try:
            arrays = self._view(view)
        except StoreFull as error:
            self.fallback = str(error)
            return self._uncached.batch(rows, view)
        self._use.rows += len(rows)
        return [np.asarray(array[rows], np.float32) for array in arrays]

    def close(self) -> None:
        """Let the views be evicted."""
        for entry, _ in self._views.values():
            entry.close()
        self._views.clear()

    def _view(self, view: int | None) -> list[Array]:
        """The arrays of a view; those that are not stored are computed."""
        if view in self._views:
            return self._views[view][1]

        def compute(start: int, stop: int, names: Sequence[str], filled: Mapping[str, Array]) -> dict[str, Array]:
            self._use.filled += stop - start
            numbers = (stop - start) * sum(math.prod(self._shapes[name]) for name in names)
            self._use.filled_bytes += numbers * np.dtype(self._prefix.store_dtype).itemsize
            return self._prefix.compute(self._photos, start, stop, view, names, filled)

        entry = self._store.entry({**self._prefix.key(view), "photos": self._photos.fingerprint}, len(self._photos))
        try:
            entry.allocate(self._shapes, self._prefix.store_dtype)
            started = time.monotonic()
            entry.fill(list(self._shapes), compute)
            self._use.fill_seconds += time.monotonic() - started
        except BaseException:
            entry.close()
            raise
        self._views[view] = entry, [entry.read(name) for name in self._names]
        return self._views[view][1]
