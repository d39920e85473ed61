"""Frozen prefix of a backbone, with the augmentation before it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainables.activations.augment import augmented
from trainables.activations.photos import Ints, Photos
from trainables.activations.store import Array
from trainables.config import TrialConfig
from trainables.network.backbones import scale_pixels
from trainables.network.cut import PIXELS, tensors_at

COMPUTE_BATCH = 64


class Prefix:
    """The frozen part of a backbone: uint8 pixels, augmented, to the tensors at any cut."""

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

    def pixels(self, photos: Photos, rows: Ints, view: int | None) -> Any:
        """Scaled pixels of `rows` in one view, float32 [len(rows), size, size, 3]."""
        pixels = photos.read(rows)
        if view is not None:
            ids = [photos.photo_ids[row] for row in rows]
            pixels = augmented(pixels, ids, view, self._config)
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
                inputs = self.pixels(photos, np.arange(first, last), view)
            else:
                inputs = np.asarray(filled[source][first - start : last - start], np.float32)
            parts.append([output.numpy() for output in self.run(inputs, source, names)])
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
