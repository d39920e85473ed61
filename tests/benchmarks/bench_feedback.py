"""Does telling the sampler that a trial was stopped find better configurations than the stock seam does?

    python -m tests.benchmarks.bench_feedback --seeds 20 --epochs 300

Sweeps on learning curves by a formula, each over the same number of epochs, two trials at once, without Ray (its order
of calls is played). Judged by the noise-free macro F1 of the configuration that the sweep would hand over.

  stock          Ray's OptunaSearch (TPE as it comes) and ASHAScheduler: a stopped trial is COMPLETE with its last value
  ours, told so  Raretune's sampler and rungs, but stopped trials told as the stock seam tells them
  ours           Raretune: a stopped trial is PRUNED with all its values, and the value is the best epoch's

The second against the third is the effect of the feedback alone; the first against the third that of all together.
"""

import argparse
import json
import random
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from search.config.schema import SweepConfig
from search.config.space import distributions
from tests.benchmarks.learning_curves import noisy, quality
from tests.search_tests.example import sweep
from tests.search_tests.tune_loop import FakeTrial, PlayedSweep
from trainables.config import TrialConfig

SLOTS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=300, help="budget of each sweep, all trials together")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    found: dict[str, list[float]] = {way: [] for way in options.ways}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for way in options.ways:
            with tempfile.TemporaryDirectory() as folder:
                config = sweep(Path(folder), trials=options.epochs, seed=seed, trial={"epochs": 9})
                found[way].append(quality(WAYS[way](config, options.epochs)))
        print(json.dumps({"seed": seed, **{way: round(values[-1], 4) for way, values in found.items()}}), flush=True)
    print_table(found)


def stock(config: SweepConfig, epochs: int) -> dict[str, Any]:
    """Play stock Ray Tune; return the configuration with the best epoch."""
    sizes = {"metric": config.metric, "mode": config.mode}
    searcher = OptunaSearch(space=distributions(config.space), seed=config.seed, **sizes)
    scheduler = AsyncHyperBandScheduler(
        time_attr="epoch", max_t=config.max_epochs, grace_period=1, reduction_factor=3, **sizes
    )
    best: list[tuple[float, dict[str, Any]]] = []

    def trial(index: int) -> Iterator[None]:
        params = searcher.suggest(str(index))
        seed = random.Random(f"{config.seed}/{index}").getrandbits(32)
        whole = {**TrialConfig.model_validate(config.trial).model_dump(), **params, "seed": seed}
        one = FakeTrial({**whole, "run": {"trial": index}}, str(index))
        scheduler.on_trial_add(None, one)
        for epoch, value in enumerate(noisy(whole), start=1):
            best.append((value, whole))
            result = {"epoch": epoch, "training_iteration": epoch, config.metric: value}
            if scheduler.on_trial_result(None, one, result) == TrialScheduler.STOP:
                scheduler.on_trial_complete(None, one, result)
                searcher.on_trial_complete(str(index), result)
                return
            searcher.on_trial_result(str(index), result)
            yield

    play(trial, epochs)
    return max(best, key=lambda pair: pair[0])[1]


def ours(config: SweepConfig, epochs: int, told_as_stock: bool = False) -> dict[str, Any]:
    """Play Raretune; return the configuration with the best epoch."""
    game = CurveSweep(config)
    if told_as_stock:
        tell_as_stock(game)
    play(game._trial, epochs)
    return max(game.reported, key=lambda pair: pair[0])[1]


class CurveSweep(PlayedSweep):
    """A sweep over these learning curves; `reported` holds the value and configuration of each epoch."""

    def __init__(self, config: SweepConfig) -> None:
        super().__init__(config)
        self.reported: list[tuple[float, dict[str, Any]]] = []

    def values(self, config: dict[str, Any]) -> list[float]:
        return noisy(config)

    def report(self, trial: FakeTrial, epoch: int, value: float, *, last: bool = False) -> bool:
        self.reported.append((value, trial.config))
        return super().report(trial, epoch, value, last=last)


def tell_as_stock(game: PlayedSweep) -> None:
    """Have every trial end as COMPLETE with its last value."""
    searcher = game.searcher

    def on_trial_complete(trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        assert result is not None
        number = result["config/run"].trial
        searcher._open.pop(number)
        searcher.study.tell(number, result[game.config.metric])

    searcher.on_trial_complete = on_trial_complete  # type: ignore[method-assign]


def play(trial: Callable[[int], Iterator[None]], epochs: int) -> None:
    """Run trials beside each other until they have run so many epochs."""
    running: list[Iterator[None]] = []
    begun, run = 0, 0
    while run < epochs:
        while len(running) < SLOTS:
            running.append(trial(begun))
            begun += 1
        run += len(running)
        running = [one for one in running if next(one, "ended") is None]


WAYS: dict[str, Callable[[SweepConfig, int], dict[str, Any]]] = {
    "stock": stock,
    "ours, told so": lambda config, epochs: ours(config, epochs, told_as_stock=True),
    "ours": ours,
}


def print_table(found: dict[str, list[float]]) -> None:
    """Each way, and ours against it, seed by seed."""
    heads = f"{'median':>9}{'worst':>9}{'ours − it':>11}{'95 % interval':>20}{'wins':>6}"
    print(f"\n{'macro F1 of what is handed over':32}{heads}")
    for way, values in found.items():
        gains = np.array(found["ours"]) - np.array(values)
        line = f"{way:32}{statistics.median(values):9.4f}{min(values):9.4f}"
        if way != "ours":
            low, high = np.quantile([resample.mean() for resample in resamples(gains)], [0.025, 0.975])
            line += f"{gains.mean():+11.4f}{f'{low:+.4f} to {high:+.4f}':>20}{(gains > 0).sum():6}"
        print(line)


def resamples(values: np.ndarray, count: int = 2000) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [values[generator.integers(0, len(values), len(values))] for _ in range(count)]


if __name__ == "__main__":
    main()
