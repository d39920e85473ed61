"""Measure how fast this process trains and computes activations, on made-up data: nothing is read or stored."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainables.config import TrialConfig

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


class Probe:
    """A process with `threads` CPU threads, ready to train every tail that a sweep may ask for.

    Weights are random: the values do not change the speed.
    """

    def __init__(self, config: TrialConfig, unfrozen_layers: Sequence[int], classes: int, threads: int) -> None:
        from trainables.device import prepare_tensorflow

        prepare_tensorflow(threads)
        from trainables.activations.features import Photos, Prefix
        from trainables.network.backbones import Weights, build_backbone, from_scratch
        from trainables.network.cut import PIXELS, find_cut
        from trainables.network.tail import Tail, TailBackbone

        self._config, self._classes = config, classes
        base = build_backbone(config.backbone, config.image_size, Weights("random", "", "random"), 0)
        counts = [len(base.layers)] if from_scratch(config.backbone) else unfrozen_layers
        cuts = {find_cut(base, count, from_scratch(config.backbone)) for count in counts}
        self._tails = {
            cut.name: Tail(
                TailBackbone(base, cut, classes, config.optimizer, config.tail_precision), config.dense_units
            )
            for cut in cuts
        }
        self._prefix = Prefix(base, "random", config)
        self._stored = sorted({cut.name for cut in cuts} - {PIXELS})
        shape = (config.batch_size, config.image_size, config.image_size, 3)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        ids = [str(number) for number in range(len(pixels))]
        self._photos = Photos(pixels, np.zeros(len(pixels), np.int64), ids, "probe")
        self._inputs = {name: self._input(name) for name in self._tails}
        self.measure(0.0)  # Traces all graphs.

    def measure(self, seconds: float = SECONDS) -> Speed:
        """Time every tail and the prefix for about `seconds` each."""
        tails = {
            name: TailSpeed(
                self._rate(self._step(name), seconds), self._rate(self._forward(name), seconds / 4), self._bytes(name)
            )
            for name in self._tails
        }
        prefix = self._rate(self._fill, seconds) if self._stored else math.inf
        return Speed(tails, prefix, _resident_bytes())

    def _input(self, cut: str) -> list[Any]:
        """A made-up batch of what crosses the cut: tracing the prefix to each one would take seconds."""
        random = np.random.default_rng(0)
        shapes = self._tails[cut].body.input_shapes
        return [random.random((self._config.batch_size, *shape), np.float32) for shape in shapes]

    def _step(self, cut: str) -> Callable[[], object]:
        from trainables.network.class_balance import balance
        from trainables.network.tail import StepSettings

        even = balance("none", np.ones(self._classes, np.int64))
        settings = StepSettings(1e-3, 0.3, 1e-3, 0.0, 0, 0)
        tail, inputs = self._tails[cut], self._inputs[cut]
        return lambda: tail.train_batch(inputs, self._photos.labels, even, settings)[0].numpy()

    def _forward(self, cut: str) -> Callable[[], object]:
        return lambda: self._tails[cut].predict_batch(self._inputs[cut])

    def _fill(self) -> object:
        names = [name for cut in self._stored for name in cut.split("+")]
        return self._prefix.compute(self._photos, 0, len(self._photos), 0, names, {})

    def _bytes(self, cut: str) -> int:
        if cut not in self._stored:
            return 0
        size = np.dtype(self._config.store_dtype).itemsize
        return sum(int(np.prod(shape)) * size for shape in self._prefix.shape(cut).values())

    def _rate(self, run: Callable[[], object], seconds: float) -> float:
        run()
        started, steps = time.monotonic(), 0
        while steps < STEPS * (seconds > 0) or time.monotonic() - started < seconds:
            run()
            steps += 1
        return steps * len(self._photos) / max(time.monotonic() - started, 1e-9)


def _resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
