"""Training and prefix speed of this process, measured on made-up data."""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import psutil

from trainables.activations.features import Prefix
from trainables.activations.photos import Photos
from trainables.config import TrialConfig
from trainables.device import prepare_tensorflow
from trainables.network.backbones import Weights, build_backbone, cut_backbone
from trainables.network.cut import PIXELS
from trainables.network.tail import StepSettings, Tail, TailBackbone
from trainables.training.class_balance import balance

# At least so many steps are timed, and more until the time is up.
STEPS = 3
SECONDS = 1.0


class TailSpeed(NamedTuple):
    """One tail: photos per second in training steps and in evaluation, and bytes of a stored view of a photo."""

    train: float
    evaluate: float
    bytes_per_photo: int


class Speed(NamedTuple):
    """What a process reached: by cut, and photos per second through the prefix (augmentation included)."""

    tails: dict[str, TailSpeed]
    prefix: float
    resident_bytes: int


class SpeedTest:
    """A process with `threads` CPU threads, ready to train every tail that a sweep may ask for.

    Weights and data are made up, nothing is read or stored: the values do not change the speed.
    """

    def __init__(self, config: TrialConfig, unfrozen_layers: Sequence[int], classes: int, threads: int) -> None:
        prepare_tensorflow(threads)
        self._config, self._classes = config, classes
        base = build_backbone(config.backbone, config.image_size, Weights("random", "", "random"), 0)
        self._tails = {
            cut.name: Tail(
                TailBackbone(base, cut, classes, config.optimizer, config.tail_precision), config.dense_units
            )
            for cut in {cut_backbone(base, config, count) for count in unfrozen_layers}
        }
        self._prefix = Prefix(base, "random", config)
        self._stored = sorted(self._tails.keys() - {PIXELS})
        shape = (config.batch_size, config.image_size, config.image_size, 3)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        ids = [str(number) for number in range(len(pixels))]
        self._photos = Photos(pixels, np.zeros(len(pixels), np.int64), ids, "probe")
        self.measure(0.0)  # Traces all graphs.

    def measure(self, seconds: float = SECONDS) -> Speed:
        """Time every tail and the prefix for about `seconds` each."""
        names = [name for cut in self._stored for name in cut.split("+")]
        photos = self._photos
        prefix = math.inf
        if self._stored:
            prefix = self._rate(lambda: self._prefix.compute(photos, 0, len(photos), 0, names, {}), seconds)
        tails = {cut: self._tail_speed(cut, seconds) for cut in self._tails}
        return Speed(tails, prefix, psutil.Process().memory_info().rss)

    def _tail_speed(self, cut: str, seconds: float) -> TailSpeed:
        tail, random = self._tails[cut], np.random.default_rng(0)
        # Made up: tracing the prefix to each cut would take seconds.
        shapes = tail.body.input_shapes
        inputs = [random.random((self._config.batch_size, *shape), np.float32) for shape in shapes]
        even = balance("none", np.ones(self._classes, np.int64))
        settings = StepSettings(1e-3, 1e-3, 0.3, 1e-3, 0.0, 0, 0)
        size = np.dtype(self._config.store_dtype).itemsize if cut in self._stored else 0
        return TailSpeed(
            self._rate(lambda: tail.train_batch(inputs, self._photos.labels, even, settings)[0].numpy(), seconds),
            self._rate(lambda: tail.predict_batch(inputs), seconds / 4),
            sum(int(np.prod(shape)) * size for shape in shapes),
        )

    def _rate(self, run: Callable[[], object], seconds: float) -> float:
        run()
        started, steps = time.monotonic(), 0
        while steps < STEPS * (seconds > 0) or time.monotonic() - started < seconds:
            run()
            steps += 1
        return steps * len(self._photos) / max(time.monotonic() - started, 1e-9)
