"""Which TPE finds more where macro F1 is weighed against a model's size, and in lists of numbers.

    python -m tests.benchmarks.bench_two_objectives --seeds 20

Sweeps of 40 trials on learning curves by a formula, two at once, stopped early by ASHA, in two spaces: `widths` is the
reference study's (three sizes of one backbone), `backbones` searches the backbone as well (four sizes of it, times
four of the head). With two objectives: the share of the space's hypervolume (above a macro F1 of 0.3, below 1.05 times
the largest model) that the noise-free front of the first 20, and of all 40 trials has. With `--one`, the noise-free
macro F1 of what those would hand over. Each way draws knobs together (multivariate) or each by itself, and knows lists
of numbers as ordered or as any choices.
"""

import argparse
import copy
import itertools
import json
import math
import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from search.config.schema import SweepConfig
from search.sampling import samplers, suggestions
from search.sampling.suggestions import suggest
from search.study.study import cost_of
from search.study.trial_end import ScoredTrial, front
from tests.benchmarks.learning_curves import noise_free, noisy
from tests.search_tests.example import sweep
from tests.search_tests.tune_loop import FakeTrial, PlayedSweep

TRIALS = 40
WORST = 0.3
RATES = {"low": 1e-5, "high": 1e-2, "log": True}
DROPOUT = {"low": 0.0, "high": 0.6}
SPACES: dict[str, dict[str, Any]] = {
    "widths": {
        "learning_rate": RATES, "dropout": DROPOUT, "dense_units": [128, 256, 512], "unfrozen_layers": [0, 31, 62],
    },
    "backbones": {
        "learning_rate": RATES, "dropout": DROPOUT, "dense_units": [0, 128, 256, 512], "unfrozen_layers": [0, 31, 62],
        "backbone": ["mobilenet_v2", "efficientnet_v2_b0", "densenet121", "inception_v3"],
    },
}  # fmt: skip


class Kind(NamedTuple):
    """A backbone: megabytes without a head, macro F1 against InceptionV3's, how far its best rate is (log10)."""

    megabytes: float
    level: float
    rate: float


KINDS = {
    "mobilenet_v2": Kind(8.9, -0.05, 0.3),
    "efficientnet_v2_b0": Kind(23.5, -0.015, 0.15),
    "densenet121": Kind(28.1, -0.03, 0.0),
    "inception_v3": Kind(87.2, 0.0, 0.0),
}


class SizedSweep(PlayedSweep):
    """A sweep over these curves, whose models cost what theirs would; `configs` are its trials' by number."""

    def __init__(self, config: SweepConfig) -> None:
        super().__init__(config)
        self.configs: dict[int, dict[str, Any]] = {}

    def values(self, config: dict[str, Any]) -> list[float]:
        self.configs[config["run"].trial] = config
        level = KINDS[config["backbone"]].level
        return [value + level for value in noisy(as_inception(config))]

    def report(self, trial: FakeTrial, epoch: int, value: float, *, last: bool = False) -> bool:
        with patch("tests.search_tests.tune_loop.model_mb", megabytes):
            return super().report(trial, epoch, value, last=last)


def megabytes(config: dict[str, Any]) -> float:
    return KINDS[config["backbone"]].megabytes + 0.0082 * max(50.0, float(config["dense_units"]))


def as_inception(config: dict[str, Any]) -> dict[str, Any]:
    rate = config["learning_rate"] / 10 ** KINDS[config["backbone"]].rate
    return {**config, "learning_rate": rate, "dense_units": max(64, config["dense_units"])}


def quality(config: dict[str, Any]) -> float:
    return float(noise_free(as_inception(config)).max()) + KINDS[config["backbone"]].level


class Ordered:
    """The space with each list of three numbers or more as whole numbers 0, 1, 2 …; the record keeps the numbers."""

    def __init__(self, space: dict[str, BaseDistribution]) -> None:
        self._recorded = space
        self._lists = {
            name: sorted(knob.choices, key=float)  # type: ignore[arg-type]
            for name, knob in space.items()
            if isinstance(knob, CategoricalDistribution) and has_order(knob.choices)
        }
        places = {name: IntDistribution(0, len(values) - 1) for name, values in self._lists.items()}
        self.space: dict[str, BaseDistribution] = {**space, **places}

    def seen(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return recorded trials with places for numbers."""
        if not self._lists:
            return list(trials)
        found = []
        for trial in trials:
            places = {name: values.index(trial.params[name]) for name, values in self._lists.items()}
            seen = copy.copy(trial)
            seen.params, seen.distributions = {**trial.params, **places}, self.space
            found.append(seen)
        return found

    def record(self, drawn: FrozenTrial) -> None:
        """Give a drawn trial the numbers for its places."""
        numbers = {name: values[drawn.params[name]] for name, values in self._lists.items()}
        drawn.params, drawn.distributions = {**drawn.params, **numbers}, dict(self._recorded)


def has_order(choices: Sequence[Any]) -> bool:
    return len(choices) > 2 and all(type(choice) in (int, float) for choice in choices)


def in_order(
    study: optuna.Study,
    sampler: BaseSampler,
    trials: list[FrozenTrial],
    space: dict[str, BaseDistribution],
    number: int,
    *,
    reads_stopped: bool = True,
) -> FrozenTrial:
    order = Ordered(space)
    drawn = suggest(study, sampler, order.seen(trials), order.space, number, reads_stopped=reads_stopped)
    order.record(drawn)
    return drawn


class Independent(TPESampler):
    """TPE as Optuna 5 makes it for several objectives; `suggest` asks any sampler for all knobs at once first."""

    def sample_relative(self, *_: Any) -> dict[str, Any]:
        return {}


def together(config: SweepConfig, seed: int) -> BaseSampler:
    return TPESampler(seed=seed, n_startup_trials=config.startup_trials, multivariate=True, constant_liar=True)


def each_by_itself(config: SweepConfig, seed: int) -> BaseSampler:
    return Independent(seed=seed, n_startup_trials=config.startup_trials, multivariate=False, constant_liar=True)


# How a sampler is made, and whether lists of numbers have an order.
WAYS: dict[str, tuple[Callable[[SweepConfig, int], BaseSampler], bool]] = {
    "together": (together, False),
    "together, ordered": (together, True),
    "each by itself": (each_by_itself, False),
    "each by itself, ordered": (each_by_itself, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--one", action="store_true", help="one objective")
    parser.add_argument("--spaces", nargs="+", choices=list(SPACES), default=list(SPACES))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    for space in options.spaces:
        best = hypervolume(ideal(space))
        first: np.ndarray | None = None
        for way in WAYS:
            found = np.array([play(space, seed, way, one=options.one) for seed in range(options.seeds)])
            found = found if options.one else found / best
            first = found if first is None else first
            row: dict[str, Any] = {"space": space, "way": way}
            for at, trials in enumerate((TRIALS // 2, TRIALS)):
                row[f"{trials}"] = f"{found[:, at].mean():.4f} ± {error_of(found[:, at]):.4f}"
                gain = found[:, at] - first[:, at]
                row[f"{trials}, − first"] = f"{gain.mean():+.4f} ± {error_of(gain):.4f}"
            print(json.dumps(row, ensure_ascii=False), flush=True)


def play(space: str, seed: int, way: str, *, one: bool) -> list[float]:
    """One sweep: what its first 20 trials, and all of them found."""
    sampler, order = WAYS[way]
    places = patch.object(suggestions, "suggest", in_order if order else suggest)
    with tempfile.TemporaryDirectory() as folder, patch.object(samplers, "tpe", sampler), places:
        objectives = [] if one else ["val_macro_f1", "model_mb"]
        config = sweep(
            Path(folder), trials=TRIALS, seed=seed, trial={"epochs": 9}, space=SPACES[space], objectives=objectives
        )
        game = SizedSweep(config)
        trials = game.play(beside=2)
    found = []
    for count in (TRIALS // 2, TRIALS):
        scored = [
            ScoredTrial(trial.number, max(trial.intermediate_values.values()), 0.0 if one else cost_of(trial))
            for trial in trials[:count]
        ]
        kept = [game.configs[member.number] for member in front(scored, "max")]
        found.append(quality(kept[0]) if one else hypervolume([(quality(each), megabytes(each)) for each in kept]))
    return found


def ideal(space: str) -> list[tuple[float, float]]:
    """The best macro F1 of each size that the space has."""
    knobs = SPACES[space]
    backbones, widths = knobs.get("backbone", ["inception_v3"]), knobs["dense_units"]
    rates, dropouts = np.geomspace(1e-5, 1e-2, 61), np.linspace(0, 0.6, 25)
    points = []
    for backbone, units in itertools.product(backbones, widths):
        fixed = {"backbone": backbone, "dense_units": units, "epochs": 9}
        rest = itertools.product(rates, dropouts, knobs["unfrozen_layers"])
        values = (
            quality({**fixed, "learning_rate": rate, "dropout": dropout, "unfrozen_layers": layers})
            for rate, dropout, layers in rest
        )
        points.append((max(values), megabytes(fixed)))
    return points


def hypervolume(points: list[tuple[float, float]]) -> float:
    """Area in macro F1 times megabytes, between the front of the points and the worst of both."""
    area, reached = 0.0, WORST
    edge = 1.05 * megabytes({"backbone": "inception_v3", "dense_units": 512})
    for value, cost in sorted(points, key=lambda point: (point[1], -point[0])):
        if value > reached:
            area, reached = area + (value - reached) * (edge - cost), value
    return area


def error_of(values: np.ndarray) -> float:
    return statistics.stdev(values.tolist()) / math.sqrt(len(values)) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
