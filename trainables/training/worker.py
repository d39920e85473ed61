"""Warm training process: photos, backbones and tails, kept between trials."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trainables.activations.array_file import Array
from trainables.activations.features import Features, Prefix, StoredFeatures, StoreUse
from trainables.activations.gathered import Gathered
from trainables.activations.photos import Ints, Photos, decode_photos
from trainables.activations.store import Store
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.data.folds import PARTED, Parting
from trainables.device import device_name
from trainables.network import backbones
from trainables.network.cost import MODEL_MB, latency_ms, model_mb, remembered
from trainables.network.cut import PIXELS, Cut, block_ends, pooled_at
from trainables.network.tail import HeadStart, Tail, TailBackbone
from trainables.training.fine_tune import FineTuning, TrainingSet
from trainables.training.folds import FoldedTuning
from trainables.versions import versions

CALIBRATION_PHOTOS = 128
POOLED_AT_ONCE = 256  # photos
# Heads of so many widths and cuts: the lists of values that sweeps search are shorter, and TensorFlow keeps 1.4 MB of a
# compiled function that is thrown away.
TAILS_KEPT = 16


class Worker:
    """All that trials on one dataset share in one process. One trial runs in it at a time."""

    def __init__(self, dataset: Dataset, store_root: Path, store_bytes: int | None, threads: int) -> None:
        """Args: `store_bytes` is the store's disk budget; None takes half of what is free or already the store's."""
        self.dataset = dataset
        self.classes = len(dataset.class_names)
        self.store_root = store_root
        self._store = Store(store_root, store_bytes)
        self._threads = threads
        self._photos: dict[tuple[str, int], Photos] = {}
        self._weights: dict[tuple[str, str], backbones.Weights] = {}
        self._bases: dict[tuple[str, int, str, int], Any] = {}
        self._prefixes: dict[str, Prefix] = {}
        self._bodies: dict[tuple[Any, ...], TailBackbone] = {}
        self._tails: dict[tuple[Any, ...], Tail] = {}
        self._open: list[StoredFeatures] = []
        self.store_use = StoreUse()

    def start(
        self,
        config: TrialConfig,
        plan: Sequence[int] = (),
        oversampled: Sequence[int] = (),
        copies: int = 0,
        start: HeadStart | None = None,
        augmented: bool = True,
        splits: Sequence[str] = ("train",),
        parting: Parting | None = None,
    ) -> FineTuning:
        """Begin to train a configuration; a run begun before is over.

        Args:
            plan: all counts of unfrozen layers that the sweep may ask for: what they need is stored in one pass.
            oversampled: classes of which `copies` augmented copies of each training photo are added.
            start: what the head begins with (see `head_start.find_start`).
            augmented: whether the training photos are shown in their views, or as they are in every epoch.
            splits: whose photos are trained on.
            parting: which photos are, and which judge, in the place of `splits` and the dataset's validation.
        """
        if parting is not None:
            return self._parted(config, plan, [parting], [start], augmented)[0]()
        self._close()
        parts = []
        for photos in (self.photos(split, config.image_size) for split in splits):
            parts.append(TrainingSet(self._features(photos, config, plan), photos.labels, 0 if augmented else None))
            rows = np.flatnonzero(np.isin(photos.labels, oversampled))
            for copy in range(1, copies + 1 if len(rows) else 1):
                chosen = photos.select(rows)
                parts.append(TrainingSet(self._features(chosen, config, ()), chosen.labels, copy))
        validation = self.part("validation", config, plan)
        return FineTuning(self._tail(config), parts, validation, config, self.classes, start)

    def start_folds(
        self, config: TrialConfig, plan: Sequence[int], partings: Sequence[Parting], starts: Sequence[HeadStart]
    ) -> FoldedTuning:
        """Begin to train a configuration on each of the partings; a run begun before is over."""
        return FoldedTuning(self._parted(config, plan, partings, starts, augmented=True))

    def part(self, split: str, config: TrialConfig, plan: Sequence[int] = ()) -> TrainingSet:
        """A whole split, to evaluate on."""
        photos = self.photos(split, config.image_size)
        return TrainingSet(self._features(photos, config, plan), photos.labels)

    def fill(self, splits: Sequence[str], config: TrialConfig, plan: Sequence[int]) -> None:
        """Store what a probe and trials read of the photos as they are, in one pass; nothing where it does not fit.

        Args:
            plan: counts of unfrozen layers.
        """
        whole = config.model_copy(update={"head": "depths", "depths": list(block_ends(self.base(config)))})
        cuts = sorted({self._cut(whole, count).name for count in plan} - {PIXELS})
        if not cuts:
            return
        prefix = self._prefix(config)
        for split in splits:
            photos = self.photos(split, config.image_size)
            with closing(StoredFeatures(prefix, photos, self._store, cuts[0], cuts, self.store_use)) as features:
                features.fill()

    def _parted(
        self,
        config: TrialConfig,
        plan: Sequence[int],
        partings: Sequence[Parting],
        starts: Sequence[HeadStart | None],
        augmented: bool,
    ) -> list[Callable[[], FineTuning]]:
        """What begins the run of each parting; all read the same stored features of the dataset's own splits."""
        self._close()
        photos = [self.photos(split, config.image_size) for split in PARTED]
        features = [self._features(each, config, plan) for each in photos]
        labels = np.concatenate([each.labels for each in photos])
        ends = np.cumsum([0, *(len(each) for each in photos)])

        def gathered(rows: Ints, copy: int | None) -> TrainingSet:
            own = [rows[(rows >= first) & (rows < last)] - first for first, last in pairwise(ends)]
            return TrainingSet(Gathered(list(zip(features, own, strict=True))), labels[rows], copy)

        tail, copy = self._tail(config), 0 if augmented else None
        return [
            partial(FineTuning, tail, [gathered(fit, copy)], gathered(judged, 0), config, self.classes, start)
            for (fit, judged), start in zip(partings, starts, strict=True)
        ]

    def _close(self) -> None:
        for features in self._open:
            features.close()
        self._open.clear()

    def pooled(self, split: str, config: TrialConfig, depths: Sequence[str], rows: Ints | None = None) -> Array:
        """Global averages of the frozen backbone's outputs at `depths` (of `cut.block_ends`), from the store.

        Args:
            rows: which of the split's photos; None is all.

        Returns:
            float32 [photos, channels of all depths], depth after depth.
        """
        photos = self.photos(split, config.image_size)
        photos = photos if rows is None else photos.select(rows)
        cut = "+".join(map(pooled_at, depths))
        prefix, every = self._prefix(config), np.arange(len(photos))
        with closing(StoredFeatures(prefix, photos, self._store, cut, [cut], self.store_use)) as features:
            parts = [features.batch(every[first : first + POOLED_AT_ONCE], None) for first in every[::POOLED_AT_ONCE]]
            return np.concatenate([np.concatenate(part, axis=1) for part in parts])

    def photos(self, split: str, image_size: int) -> Photos:
        """The decoded photos of a split, from the store.

        Raises:
            UserError: they do not fit in the store's budget.
        """
        if (split, image_size) not in self._photos:
            photos = decode_photos(self.dataset, split, image_size, self._store, self._threads)
            self._photos[split, image_size] = photos
        return self._photos[split, image_size]

    def weights(self, config: TrialConfig) -> backbones.Weights:
        """Which weights the configuration's backbone starts from on this machine."""
        key = config.backbone, config.backbone_weights
        if key not in self._weights:
            self._weights[key] = backbones.resolve_weights(*key)
        return self._weights[key]

    def base(self, config: TrialConfig) -> Any:
        """The Keras backbone without top, with its starting weights, which stay as they are: tails are copies."""
        key = config.backbone, config.image_size, config.backbone_weights, config.sweep_seed
        if key not in self._bases:
            weights = self.weights(config)
            base = backbones.build_backbone(config.backbone, config.image_size, weights, config.sweep_seed)
            if weights.kind == "random" and not backbones.from_scratch(config.backbone):
                photos = self.photos("train", config.image_size)
                rows = np.linspace(0, len(photos) - 1, min(CALIBRATION_PHOTOS, len(photos))).astype(np.int64)
                backbones.calibrate_batch_norm(
                    base, backbones.scale_pixels(config.backbone, photos.read(rows)), config.sweep_seed
                )
            self._bases[key] = base
        return self._bases[key]

    def cost(self, name: str, config: TrialConfig) -> float:
        """What the model of a configuration costs, by one of `cost.COSTS`; time is measured once per model and node."""
        base = self.base(config)
        if name == MODEL_MB:
            return model_mb(base, config, self.classes)
        model = {
            **{knob: getattr(config, knob) for knob in ("backbone", "image_size", "dense_units", "head", "depths")},
            **{"classes": self.classes, "device": device_name(), "threads": self._threads, "versions": versions()},
        }
        return remembered(model, self.store_root / "latencies", lambda: latency_ms(base, config, self.classes))

    def fallback(self) -> str | None:
        """Why activations of the present run are not stored, or None."""
        return next((features.fallback for features in self._open if features.fallback), None)

    def _features(self, photos: Photos, config: TrialConfig, plan: Sequence[int]) -> Features:
        prefix, cut = self._prefix(config), self._cut(config, config.unfrozen_layers).name
        if cut == PIXELS:
            return Features(prefix, photos, cut)
        cuts = {cut, *(self._cut(config, count).name for count in plan)} - {PIXELS}
        features = StoredFeatures(prefix, photos, self._store, cut, sorted(cuts), self.store_use)
        self._open.append(features)
        return features

    def _prefix(self, config: TrialConfig) -> Prefix:
        relevant = {"backbone", "weights", "image_size", "augmentation", "sweep_seed", "precision", "store_dtype"}
        key = config.model_dump_json(include=relevant)
        if key not in self._prefixes:
            self._prefixes[key] = Prefix(self.base(config), self.weights(config).fingerprint, config)
        return self._prefixes[key]

    def _tail(self, config: TrialConfig) -> Tail:
        base, cut = self.base(config), self._cut(config, config.unfrozen_layers)
        key = (id(base), cut, config.optimizer, config.tail_precision)
        if key not in self._bodies:
            self._bodies[key] = TailBackbone(base, cut, self.classes, config.optimizer, config.tail_precision)
        tail = self._tails.pop((key, config.dense_units), None) or Tail(self._bodies[key], config.dense_units)
        self._tails[key, config.dense_units] = tail  # The newest last.
        if len(self._tails) > TAILS_KEPT:
            del self._tails[next(iter(self._tails))]
        return tail

    def _cut(self, config: TrialConfig, unfrozen_layers: int) -> Cut:
        return backbones.cut_backbone(self.base(config), config, unfrozen_layers)
