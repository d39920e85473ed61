"""What a trial's tail trains on: stored activations of the frozen prefix, or the same computed batch by batch.

Both answer `batch(rows, view)` with the same values for the same photo and view; the tests hold them to that.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trainables.activations.augment import augment, draw_parameters
from trainables.activations.store import Array, Entry, Store, StoreFull
from trainables.config import TrialConfig
from trainables.network.backbones import scale_pixels
from trainables.network.cut import PIXELS, tensors_at

Ints = npt.NDArray[np.int64]

COMPUTE_BATCH = 64


class Photos:
    """Some photos of one split: decoded pixels, labels and ids, in the dataset's order.

    `pixels` is uint8 [n, size, size, 3] (memory-mapped), `labels` int64 [n]; `fingerprint` names these very pixels.
    """

    def __init__(self, pixels: Array, labels: Ints, photo_ids: Sequence[str], fingerprint: str) -> None:
        self.pixels = pixels
        self.labels = labels
        self.photo_ids = photo_ids
        self.fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: Ints) -> "Photos":
        """The photos at `rows` (no pixels are copied before they are read)."""
        chosen = ",".join(map(str, rows))
        return _Selected(self, rows, f"{self.fingerprint}/{chosen}")

    def read(self, rows: Ints) -> Array:
        """Pixels at `rows`, uint8 [len(rows), size, size, 3]."""
        return np.asarray(self.pixels[rows])


class _Selected(Photos):
    def __init__(self, whole: Photos, rows: Ints, fingerprint: str) -> None:
        super().__init__(whole.pixels, whole.labels[rows], [whole.photo_ids[row] for row in rows], fingerprint)
        self._rows = rows

    def read(self, rows: Ints) -> Array:
        return np.asarray(self.pixels[self._rows[rows]])


class Features(Protocol):
    """Inputs of a tail for some photos."""

    def batch(self, rows: Ints, view: int | None) -> list[Any]:
        """The tensors that cross the cut for `rows`, float32 [len(rows), ...]; view None is the photo as it is."""
        ...


class Prefix:
    """The frozen part of a backbone, with the augmentation before it: uint8 pixels to the tensors at any cut."""

    def __init__(self, base: Any, weights_fingerprint: str, config: TrialConfig) -> None:
        from trainables.network.fast_layers import copy_part

        self._base = copy_part(base, config.precision)
        self._weights_fingerprint = weights_fingerprint
        self._config = config
        self._models: dict[tuple[str, tuple[str, ...]], Any] = {}

    def key(self, view: int | None) -> dict[str, Any]:
        """All that can change the values of a view, besides the photos: the store's key."""
        import keras
        import tensorflow as tf

        config = self._config
        key = {
            "backbone": config.backbone,
            "weights": self._weights_fingerprint,
            "image_size": config.image_size,
            "view": view,
            "precision": config.precision,
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

    @property
    def store_dtype(self) -> str:
        """What stored activations are rounded to."""
        return self._config.store_dtype

    def shape(self, cut_name: str) -> dict[str, tuple[int, ...]]:
        """Names and shapes (without the batch) of the arrays that a cut stores."""
        tensors = tensors_at(self._base, cut_name)
        return dict(zip(cut_name.split("+"), (tuple(tensor.shape[1:]) for tensor in tensors), strict=True))

    def augmented(self, photos: Photos, rows: Ints, view: int | None) -> Any:
        """Scaled pixels of `rows` in one view, float32 [len(rows), size, size, 3]."""
        pixels = photos.read(rows)
        if view is not None:
            ids = [photos.photo_ids[row] for row in rows]
            pixels = _augment()(pixels, draw_parameters(ids, view, self._config.sweep_seed, self._config.augmentation))
        return scale_pixels(self._config.backbone, pixels)

    def compute(
        self, photos: Photos, start: int, stop: int, view: int | None, names: Sequence[str], filled: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Arrays `names` for photos start..stop, from the deepest of the `filled` ones that leads to all of them."""
        source = self._source(names, list(filled))
        parts = []
        for first in range(start, stop, COMPUTE_BATCH):
            last = min(first + COMPUTE_BATCH, stop)
            if source == PIXELS:
                inputs = self.augmented(photos, np.arange(first, last), view)
            else:
                inputs = np.asarray(filled[source][first - start : last - start], np.float32)
            parts.append([output.numpy() for output in self.run(inputs, source, names)])
        return {name: np.concatenate(rows) for name, rows in zip(names, zip(*parts, strict=True), strict=True)}

    def run(self, inputs: Any, source: str, names: Sequence[str]) -> list[Any]:
        """Arrays `names` from the values `inputs` of `source`, float32 tensors [n, ...]."""
        outputs: list[Any] = self._model(source, tuple(names))(inputs)
        return outputs

    def _source(self, names: Sequence[str], candidates: list[str]) -> str:
        order = {operation.name: index for index, operation in enumerate(self._base.operations)}
        known = sorted((name for name in candidates if name in order), key=order.__getitem__, reverse=True)
        return next((name for name in known if self._leads_to(name, names)), PIXELS)

    def _leads_to(self, source: str, names: Sequence[str]) -> bool:
        """Whether `source` alone determines all of `names`: Keras refuses to build the model where it does not."""
        try:
            self._model(source, tuple(names))
        except ValueError:
            return False
        return True

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

    def clear(self) -> None:
        """Count from zero again."""
        self.rows = self.filled = self.filled_bytes = 0
        self.fill_seconds = 0.0


class UncachedFeatures:
    """Computes the prefix for every batch again: the reference, and the fallback where the store has no room."""

    def __init__(self, prefix: Prefix, photos: Photos, cut: str) -> None:
        self._prefix = prefix
        self._photos = photos
        self._cut = cut

    def batch(self, rows: Ints, view: int | None) -> list[Any]:
        """What crosses the cut, float32 [len(rows), ...]; scaled pixels where nothing is frozen."""
        pixels = self._prefix.augmented(self._photos, rows, view)
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

    def bytes_per_view(self) -> int:
        """Disk that one view takes."""
        return len(self._photos) * sum(self._bytes(name) for name in self._shapes)

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
        if view not in self._views:
            entry = self._store.entry({**self._prefix.key(view), "photos": self._photos.fingerprint}, len(self._photos))
            try:
                entry.allocate(self._shapes, self._prefix.store_dtype)
                self._fill(entry, view)
            except BaseException:
                entry.close()
                raise
            self._views[view] = entry, [entry.read(name) for name in self._names]
        return self._views[view][1]

    def _fill(self, entry: Entry, view: int | None) -> None:
        started = time.monotonic()

        def compute(start: int, stop: int, names: Sequence[str], filled: Mapping[str, Array]) -> dict[str, Array]:
            self._use.filled += stop - start
            self._use.filled_bytes += (stop - start) * sum(self._bytes(name) for name in names)
            return self._prefix.compute(self._photos, start, stop, view, names, filled)

        entry.fill(list(self._shapes), compute)
        self._use.fill_seconds += time.monotonic() - started

    def _bytes(self, name: str) -> int:
        return int(np.prod(self._shapes[name])) * np.dtype(self._prefix.store_dtype).itemsize


_AUGMENT: list[Any] = []


def _augment() -> Any:
    """`augment` as a compiled function, traced once per process."""
    if not _AUGMENT:
        import tensorflow as tf

        shapes = (tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([None, 10], tf.float32))
        _AUGMENT.append(tf.function(augment, input_signature=shapes))
    return _AUGMENT[0]
