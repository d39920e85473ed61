"""Learning curves as fine-tuning gives them, by a formula: what trials of the benchmarks report, without any training.

What makes the search hard is in them: the best learning rate falls with the number of layers that train; deeper tails
start lower, cross the others, and end higher; a rate that is too high for them ruins the pretrained weights; a high
rate overfits after its best epoch; runs of one configuration differ (another seed), and so do epochs of one run.
"""

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tests.search_tests.example import run_settings
from tests.search_tests.synthetic import SyntheticTrial

RUN_NOISE = 0.006
EPOCH_NOISE = 0.008


def quality(config: dict[str, Any]) -> float:
    """The noise-free macro F1 of a configuration's best epoch: what a search is judged by."""
    return float(noise_free(config).max())


def noise_free(config: dict[str, Any]) -> np.ndarray:
    """The expected macro F1 of epochs 1 to config["epochs"], float64."""
    rate, depth = math.log10(config["learning_rate"]), config["unfrozen_layers"] / 62
    best_rate = -2.6 - 1.0 * depth
    level = 0.55 + 0.09 * depth - 0.02 * depth**2
    level -= 0.05 * (rate - best_rate) ** 2 + 0.30 * (config["dropout"] - 0.15 - 0.25 * depth) ** 2
    level -= 0.012 * abs(math.log2(config["dense_units"] / 256))
    level -= 0.35 * depth * max(0.0, rate + 2.7)  # Too high a rate for pretrained layers.
    speed = 1.4 * 10 ** (0.45 * (rate - best_rate)) * (1 - 0.5 * depth)
    epochs = np.arange(1, config["epochs"] + 1)
    overfit = 0.006 * max(0.0, rate - best_rate + 0.3) * (1 - config["dropout"]) * np.maximum(0, epochs - 4)
    return np.clip(level * (1 - (1 + speed * epochs) ** -1.5) - overfit, 0.01, 0.99)


def noisy(config: dict[str, Any]) -> list[float]:
    """What a run of the configuration with config["seed"] reports by epoch."""
    random = np.random.default_rng(config["seed"])
    values = noise_free(config) + random.normal(0, RUN_NOISE)
    return [float(value) for value in np.clip(values + random.normal(0, EPOCH_NOISE, len(values)), 0.001, 0.999)]


class LearningCurveTrial(SyntheticTrial):
    """SyntheticTrial over these curves."""

    def values(self, config: dict[str, Any]) -> list[float]:
        return noisy(config)


class StockTrial(LearningCurveTrial):
    """The same for a stock sweep, which gives a trial its searched knobs only: the seed follows from them.

    Its checkpoints are Ray's.
    """

    FIXED: ClassVar[dict[str, Any]] = {"epochs": 9, "patience": 5}

    def setup(self, config: dict[str, Any]) -> None:
        knobs = repr(sorted(config.items())).encode()
        run = run_settings(checkpoint_dir=self.logdir)
        super().setup({**self.FIXED, **config, "seed": int.from_bytes(knobs[-4:]), "run": run})

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        np.save(Path(checkpoint_dir, "state.npy"), np.array([self._epoch, self._best, self._best_epoch]))

    def load_checkpoint(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            epoch, self._best, best_epoch = map(float, np.load(Path(checkpoint, "state.npy")))
            self._epoch, self._best_epoch = int(epoch), int(best_epoch)
