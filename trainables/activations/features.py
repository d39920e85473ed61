"""Inputs of a tail: outputs of the prefix, stored or computed.

Stored and computed features answer `batch(rows, view)` with the same values for the same photo and view.
"""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainables.activations.array_file import Array
from trainables.activations.augment import augmented
from trainables.activations.photos import Ints, Photos
from trainables.activations.store import Entry, Store, StoreFull
from trainables.config import TrialConfig
from trainables.network.backbones import scale_pixels
from trainables.network.cut import PIXELS, tensors_at

COMPUTE_BATCH = 32  # As fast as 64 at 299 px, with 0.4 GB less of working memory (InceptionV3, float32).
ARITHMETIC = 2  # Raised when the same pixels give other values: what is stored is computed anew then.


class Prefix:
    """The frozen part of a backbone, with the augmentation before it: from uint8 pixels to the tensors at any cut."""

    def __init__(self, base: Any, weights_fingerprint: str, config: TrialConfig) -> None:
        from trainables.network.fast_layers import copy_part

        self._base = copy_part(base, config.precision, folded=config.precision == "bfloat16")
        self._weights_fingerprint = weights_fingerprint
        self.config = config
        self._models: dict[tuple[str, tuple[str, ...]], Any] = {}

    def key(self, view: int | None) -> dict[str, Any]:
        """All that can change the values of a view, besides the photos: the store's key."""
        import keras
        import tensorflow as tf

        config = self.config
        key = {
            "backbone": config.backbone,
            "weights": self._weights_fingerprint,
            "image_size": config.image_size,
            "view": view,
            "precision": config.precision,
            "arithmetic": ARITHMETIC,
            "dtype": config.store_dtype,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
        }
        if "random" in self._weights_fingerprint or view is not None:
            key["seed"] = config.sweep_seed
        if view is not None:
            key["augmentation"] = config.augmentation.model_dump()
        return key

    def shown(self, view: int | None) -> int | None:
        """The view that shows the same: the photo as it is, None, where nothing is varied."""
        return view if self.config.augmentation.varies else None

    def shape(self, cut_name: str) -> dict[str, tuple[int, ...]]:
        """Names and shapes (without the batch) of the arrays that a cut stores."""
        tensors = tensors_at(self._base, cut_name)
        return dict(zip(cut_name.split("+"), (tuple(tensor.shape[1:]) for tensor in tensors), strict=True))

    def pixels(self, photos: Photos, rows: Ints, view: int | None) -> Any:
        """Scaled pixels of `rows` in one view, float32 [len(rows), size, size, 3]."""
        pixels = photos.read(rows)
        if view is not None:
            ids = [photos.photo_ids[row] for row in rows]
            pixels = augmented(pixels, ids, view, self.config)
        return scale_pixels(self.config.backbone, pixels)

    def compute(
        self, photos: Photos, start: int, stop: int, view: int | None, names: Sequence[str], filled: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Arrays `names` for photos start..stop, from the deepest of the `filled` ones that leads to all of them."""
        source = self._source(names, list(filled))
        parts = []
        for first in range(start, stop, COMPUTE_BATCH):
            last = min(first + COMPUTE_BATCH, stop)
            if source == PIXELS:
                inputs = self.pixels(photos, np.arange(first, last), view)
            else:
                inputs = np.asarray(filled[source][first - start : last - start], np.float32)
            parts.append([output.numpy() for output in self.run(inputs, source, names)])
        photos.let_go()
        return {name: np.concatenate(rows) for name, rows in zip(names, zip(*parts, strict=True), strict=True)}

    def run(self, inputs: Any, source: str, names: Sequence[str]) -> list[Any]:
        """Arrays `names` from the values `inputs` of `source`, float32 tensors [n, ...]."""
        outputs: list[Any] = self._model(source, tuple(names))(inputs)
        return outputs

    def _source(self, names: Sequence[str], candidates: list[str]) -> str:
        """The deepest of `candidates` that alone determines all of `names`; the pixels where none does."""
        order = {operation.name: index for index, operation in enumerate(self._base.operations)}
        for name in sorted((name for name in candidates if name in order), key=order.__getitem__, reverse=True):
            try:
                self._model(name, tuple(names))
            except ValueError:  # Keras refuses to build a model from too few tensors.
                continue
            return name
        return PIXELS

    def _model(self, source: str, names: tuple[str, ...]) -> Any:
        if (source, names) not in self._models:
            import keras
            import tensorflow as tf

            outputs = [tensor for name in names for tensor in tensors_at(self._base, name)]
            inputs = tensors_at(self._base, source)[0]
            model = keras.Model(inputs, outputs)
            self._models[source, names] = tf.function(
                lambda values: [tf.cast(value, tf.float32) for value in tf.nest.flatten(model(values, training=False))],
                input_signature=[tf.TensorSpec(inputs.shape, tf.float32)],  # Traced once for all batch sizes.
            )
        return self._models[source, names]


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


class Features:
    """Inputs of a tail for some photos, computed for every batch again: the reference, and where nothing is frozen."""

    def __init__(self, prefix: Prefix, photos: Photos, cut: str) -> None:
        self._prefix = prefix
        self._photos = photos
        self._cut = cut

    def batch(self, rows: Ints, view: int | None) -> list[Any]:
        """What crosses the cut for `rows`, float32 arrays [len(rows), ...]; view None is the photo as it is."""
        pixels = self._prefix.pixels(self._photos, rows, self._prefix.shown(view))
        return [pixels] if self._cut == PIXELS else self._prefix.run(pixels, PIXELS, self._cut.split("+"))


class StoredFeatures(Features):
    """The same from the store, to which each view is written the first time that any trial asks for it.

    Activations lie there in the configuration's `store_dtype`; batches are float32. Where a view does not fit in the
    store's budget, its batches are computed as they come, and `fallback` says why.
    """

    def __init__(
        self, prefix: Prefix, photos: Photos, store: Store, cut: str, plan: Sequence[str], use: StoreUse | None = None
    ) -> None:
        """Args: `plan` are all cuts worth computing in one pass, `cut` among them; `use` is counted up."""
        super().__init__(prefix, photos, cut)
        self._store = store
        self._names = cut.split("+")
        self._shapes = {name: shape for each in plan for name, shape in prefix.shape(each).items()}
        self._views: dict[int | None, tuple[Entry, list[Array]]] = {}
        self._use = use or StoreUse()
        self.fallback: str | None = None

    def batch(self, rows: Ints, view: int | None) -> list[Any]:
        """Stored activations, float32 [len(rows), ...], one array for each tensor that crosses the cut."""
        view = self._prefix.shown(view)
        try:
            arrays = self._view(view)
        except StoreFull as error:
            self.fallback = str(error)
            return super().batch(rows, view)
        self._use.rows += len(rows)
        return [np.asarray(array[rows], np.float32) for array in arrays]

    def fill(self) -> None:
        """Store what the photos as they are lack, all cuts of the plan in one pass; nothing where that does not fit."""
        with suppress(StoreFull):
            self._view(None)

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
            self._use.filled_bytes += numbers * np.dtype(self._prefix.config.store_dtype).itemsize
            return self._prefix.compute(self._photos, start, stop, view, names, filled)

        key = {**self._prefix.key(view), "photos": self._photos.fingerprint}
        started = time.monotonic()
        entry, arrays = self._store.opened(
            key, len(self._photos), self._shapes, self._prefix.config.store_dtype, compute
        )
        self._use.fill_seconds += time.monotonic() - started
        self._views[view] = entry, [arrays[name] for name in self._names]
        return self._views[view][1]
