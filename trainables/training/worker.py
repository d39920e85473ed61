"""A warm training process: backbone, decoded photos and compiled tails, kept from trial to trial."""

import itertools
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from trainables.activations.features import Features, Photos, Prefix, StoredFeatures, StoreUse, UncachedFeatures
from trainables.activations.store import Array, Store, StoreFull
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset, EncodedPhoto
from trainables.data.images import decode_resized
from trainables.data.shards import read_split
from trainables.device import device_name
from trainables.errors import UserError
from trainables.network.backbones import (
    Weights,
    build_backbone,
    calibrate_batch_norm,
    from_scratch,
    resolve_weights,
    scale_pixels,
)
from trainables.network.cost import MODEL_MB, latency_ms, model_mb, remembered
from trainables.network.cut import PIXELS, Cut, find_cut
from trainables.network.tail import Tail, TailBackbone
from trainables.training.fine_tune import FineTuning, TrainingSet
from trainables.versions import versions

CALIBRATION_PHOTOS = 128
# Heads of so many widths and cuts: the lists of values that sweeps search are shorter, and TensorFlow keeps 1.4 MB of a
# compiled function that is thrown away.
TAILS_KEPT = 16


class Worker:
    """All that trials on one dataset share in one process. One trial runs in it at a time."""

    def __init__(self, dataset: Dataset, store_root: Path, store_bytes: int | None, threads: int) -> None:
        """Args: `store_bytes` is the store's disk budget; None takes half of what is free or already the store's."""
        self.dataset = dataset
        self._store = Store(store_root, _budget(store_root) if store_bytes is None else store_bytes)
        self._threads = threads
        self._photos: dict[tuple[str, int], Photos] = {}
        self._weights: dict[tuple[str, str], Weights] = {}
        self._bases: dict[tuple[str, int, str, int], Any] = {}
        self._prefixes: dict[str, Prefix] = {}
        self._bodies: dict[tuple[Any, ...], TailBackbone] = {}
        self._tails: dict[tuple[Any, ...], Tail] = {}
        self._latencies = store_root / "latencies"
        self._open: list[StoredFeatures] = []
        self._use = StoreUse()

    @cached_property
    def classes(self) -> int:
        """How many families there are."""
        return len(self.dataset.class_names)

    def start(
        self, config: TrialConfig, plan: Sequence[int] = (), oversampled: Sequence[int] = (), copies: int = 0
    ) -> FineTuning:
        """Begin to train a configuration; a run begun before is over.

        Args:
            plan: all counts of unfrozen layers that the sweep may ask for: what they need is stored in one pass.
            oversampled: classes of which `copies` augmented copies of each training photo are added.
        """
        self._close()
        photos = self.photos("train", config.image_size)
        parts = [TrainingSet(self._features(photos, config, plan), photos.labels)]
        rows = np.flatnonzero(np.isin(photos.labels, oversampled))
        for copy in range(1, copies + 1 if len(rows) else 1):
            chosen = photos.select(rows)
            parts.append(TrainingSet(self._features(chosen, config, ()), chosen.labels, copy))
        return FineTuning(self._tail(config), parts, self.part("validation", config, plan), config, self.classes)

    def part(self, split: str, config: TrialConfig, plan: Sequence[int] = ()) -> TrainingSet:
        """A whole split, to evaluate on."""
        photos = self.photos(split, config.image_size)
        return TrainingSet(self._features(photos, config, plan), photos.labels)

    def photos(self, split: str, image_size: int) -> Photos:
        """The decoded photos of a split, from the store; decoded into it by the first process that asks.

        Raises:
            UserError: they do not fit in the store's budget.
        """
        if (split, image_size) not in self._photos:
            self._photos[split, image_size] = self._decode(split, image_size)
        return self._photos[split, image_size]

    def weights(self, config: TrialConfig) -> Weights:
        """Which weights the configuration's backbone starts from on this machine."""
        key = config.backbone, config.backbone_weights
        if key not in self._weights:
            self._weights[key] = resolve_weights(*key)
        return self._weights[key]

    def base(self, config: TrialConfig) -> Any:
        """The backbone with its starting weights. Nobody trains it; tails are copies."""
        key = config.backbone, config.image_size, config.backbone_weights, config.sweep_seed
        if key not in self._bases:
            self._bases[key] = self._build(config)
        return self._bases[key]

    def cost(self, name: str, config: TrialConfig) -> float:
        """What the model of a configuration costs, by one of `cost.COSTS`; time is measured once per model and node."""
        base = self.base(config)
        if name == MODEL_MB:
            return model_mb(base, config.dense_units, self.classes)
        model = {
            **{knob: getattr(config, knob) for knob in ("backbone", "image_size", "dense_units")},
            **{"classes": self.classes, "device": device_name(), "threads": self._threads, "versions": versions()},
        }
        return remembered(model, self._latencies, lambda: latency_ms(base, config, self.classes))

    def fallback(self) -> str | None:
        """Why activations of the present run are not stored, or None."""
        return next((features.fallback for features in self._open if features.fallback), None)

    def take_store_use(self) -> StoreUse:
        """What was had from the store since this was last asked."""
        use = replace(self._use)
        self._use.clear()
        return use

    def _features(self, photos: Photos, config: TrialConfig, plan: Sequence[int]) -> Features:
        prefix = self._prefix(config)
        cut = self._cut(config, config.unfrozen_layers).name
        if cut == PIXELS:
            return UncachedFeatures(prefix, photos, cut)
        cuts = {cut, *(self._cut(config, unfrozen).name for unfrozen in plan)} - {PIXELS}
        features = StoredFeatures(prefix, photos, self._store, cut, sorted(cuts), self._use)
        self._open.append(features)
        return features

    def _prefix(self, config: TrialConfig) -> Prefix:
        relevant = config.model_dump(
            include={"backbone", "weights", "image_size", "augmentation", "sweep_seed", "precision", "store_dtype"},
            mode="json",
        )
        key = repr(relevant)
        if key not in self._prefixes:
            self._prefixes[key] = Prefix(self.base(config), self.weights(config).fingerprint, config)
        return self._prefixes[key]

    def _tail(self, config: TrialConfig) -> Tail:
        base = self.base(config)
        cut = self._cut(config, config.unfrozen_layers)
        key = (id(base), cut, config.optimizer, config.tail_precision)
        if key not in self._bodies:
            self._bodies[key] = TailBackbone(base, cut, self.classes, config.optimizer, config.tail_precision)
        tail = self._tails.pop((key, config.dense_units), None) or Tail(self._bodies[key], config.dense_units)
        self._tails[key, config.dense_units] = tail  # The newest last.
        if len(self._tails) > TAILS_KEPT:
            del self._tails[next(iter(self._tails))]
        return tail

    def _cut(self, config: TrialConfig, unfrozen_layers: int) -> Cut:
        base = self.base(config)
        if from_scratch(config.backbone):
            # It has no weights to keep, and its BatchNorm no statistics yet.
            return find_cut(base, len(base.layers), batch_norm=True)
        return find_cut(base, unfrozen_layers)

    def _build(self, config: TrialConfig) -> Any:
        weights = self.weights(config)
        base = build_backbone(config.backbone, config.image_size, weights, config.sweep_seed)
        if weights.kind == "random" and not from_scratch(config.backbone):
            photos = self.photos("train", config.image_size)
            some = np.linspace(0, len(photos) - 1, min(CALIBRATION_PHOTOS, len(photos))).astype(np.int64)
            calibrate_batch_norm(base, scale_pixels(config.backbone, photos.read(some)), config.sweep_seed)
        return base

    def _close(self) -> None:
        for features in self._open:
            features.close()
        self._open.clear()

    def _decode(self, split: str, image_size: int) -> Photos:
        rows = self.dataset.photos(split)
        key = {
            "what": "decoded photos",
            "dataset": self.dataset.fingerprint,
            "split": split,
            "image_size": image_size,
            "pillow": PIL.__version__,
        }
        entry = self._store.entry(key, len(rows))
        try:
            entry.allocate({"pixels": (image_size, image_size, 3)}, np.uint8)
        except StoreFull as error:
            raise UserError(
                f"decoded photos must fit in the store, and do not: {error}; give it more with store_gb"
            ) from None
        reader = _Reader(self.dataset, split)
        with ThreadPoolExecutor(self._threads) as pool:

            def decode(start: int, stop: int, _names: object, _filled: object) -> dict[str, Array]:
                encoded = [photo.image for photo in reader.rows(start, stop)]
                return {"pixels": np.stack(list(pool.map(lambda image: decode_resized(image, image_size), encoded)))}

            entry.fill(["pixels"], decode)
        labels = np.array([row.label for row in rows], np.int64)
        fingerprint = f"{self.dataset.fingerprint}/{split}"
        return Photos(entry.read("pixels"), labels, [row.photo_id for row in rows], fingerprint)


class _Reader:
    """Reads ranges of a split's photos in rising order without starting over for each."""

    def __init__(self, dataset: Dataset, split: str) -> None:
        self._dataset = dataset
        self._split = split
        self._position = 0
        self._photos: Iterator[EncodedPhoto] = iter(())
        self._restart()

    def rows(self, start: int, stop: int) -> list[EncodedPhoto]:
        if start < self._position:
            self._restart()
        skipped = start - self._position
        self._position = stop
        return list(itertools.islice(self._photos, skipped, skipped + stop - start))

    def _restart(self) -> None:
        self._position = 0
        self._photos = read_split(self._dataset, self._split)


def _budget(root: Path) -> int:
    root.mkdir(parents=True, exist_ok=True)
    held = sum(file.stat().st_size for file in root.rglob("*.npy"))
    return (shutil.disk_usage(root).free + held) // 2
