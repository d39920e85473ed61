"""Which configurations should a sweep try first, and how should it go on? By curves that were recorded once.

    python -m tests.benchmarks.bench_portfolio record ../shared/data/rare_families --weights FILE    # hours
    python -m tests.benchmarks.bench_portfolio choose
    python -m tests.benchmarks.bench_portfolio simulate --sweeps 1000 --min-results 3 --factors 3 --grace 2

record: every combination of a grid over the space of search/sweeps/default.yaml runs to its end, without early
stopping, on four parts of the photos (12 families each), on the demo's digits with random weights, and on these with
ImageNet's; some of them with a second seed. The curves lie in tests/benchmarks/curves/.
choose: greedy portfolios; each set's is chosen by the others. Regret is the best of the grid minus the best of the
portfolio, in points of val_macro_f1, of smoothed curves.
simulate: whole sweeps of default.yaml over the smoothed curves and their noise, one trial at a time, without Ray (its
order of calls is played), by the product's own samplers and rules. Each begins with the portfolio that the other sets
chose (--points 0: with none). Regret is the best that the space holds minus what is handed over, at its epoch.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import optuna

from search.config.file import read_sweep
from search.config.schema import EarlyStopping, SweepConfig
from tests.benchmarks.curve_sets import SETS, record, recorded
from tests.benchmarks.curve_surface import Surface, surfaces
from tests.search_tests.tune_loop import FakeTrial, PlayedSweep

DEFAULT = Path("search/sweeps/default.yaml")
AT = (3, 5, 10, 20)
MOST_POINTS = 3
LEAST_GAIN = 0.0005
SEEDS = 50
Point = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    recorder = commands.add_parser("record")
    recorder.add_argument("photos", type=Path, help="folder of class folders: rare_families")
    recorder.add_argument("--weights", type=Path, required=True, help="InceptionV3's .weights.h5 without top")
    recorder.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    recorder.add_argument("--precision", default="bfloat16", help="[bfloat16: half the time]")
    chooser = commands.add_parser("choose")
    chooser.add_argument("--most", type=int, default=3, help="configurations in the largest portfolio [3]")
    simulator = commands.add_parser("simulate")
    simulator.add_argument("--sweeps", type=int, default=1000, help="in each row, dealt to the sets [1000]")
    simulator.add_argument("--samplers", nargs="+", default=["tpe", "random"])
    simulator.add_argument("--rules", nargs="+", default=["asha"])
    simulator.add_argument("--min-results", nargs="+", type=int, default=[2, 3, 5, 8])
    simulator.add_argument("--factors", nargs="+", type=float, default=[2, 3, 4])
    simulator.add_argument("--grace", nargs="+", type=int, default=[1, 2])
    simulator.add_argument("--points", nargs="+", type=int, default=[2], help="configurations in the portfolio [2]")
    simulator.add_argument("--startup", nargs="+", type=int, default=[5], help="random trials before tpe models [5]")
    simulator.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    if options.command == "record":
        for name in options.sets:
            with tempfile.TemporaryDirectory(prefix="bench-portfolio-") as scratch:
                weights = str(options.weights.resolve())
                record(name, options.photos.resolve(), weights, Path(scratch), options.precision)
    elif options.command == "choose":
        choose(options.most)
    else:
        simulate(options)


def best_scores(found: Sequence[Surface], points: Sequence[Point]) -> np.ndarray:
    """Return the expected score of each configuration's best epoch, float64 [sets, configurations]."""
    return np.array([[surface.expected(point).max() for point in points] for surface in found])


def greedy(scores: np.ndarray, most: int) -> list[int]:
    """Return configurations, each of which adds most to those before it, on average over the sets; at most so many.

    Args:
        scores: of sets and configurations, float64 [sets, configurations].
    """
    chosen: list[int] = []
    for _ in range(most):
        gains = [scores[:, [*chosen, each]].max(axis=1).mean() for each in range(scores.shape[1])]
        if chosen and max(gains) <= scores[:, chosen].max(axis=1).mean() + LEAST_GAIN:
            break
        chosen.append(int(np.argmax(gains)))
    return chosen


def choose(most: int) -> None:
    """Print the portfolio of all sets, and what portfolios of the other sets come to on each."""
    found, points = surfaces(), recorded()
    scores = best_scores(found, points)
    for at in greedy(scores, most):
        print(", ".join(f"{name} {value:g}" for name, value in points[at].items()))
    print(f"\n{'val_macro_f1, and regrets':26}{'probe':>7}{'best':>7}{'run sd':>8}", end="")
    print("".join(f"{f'{count} tried':>19}" for count in range(1, most + 1)))
    rows = []
    for at, surface in enumerate(found):
        others, best = greedy(np.delete(scores, at, axis=0), most), scores[at].max()
        rows.append([])
        for count in range(1, most + 1):
            chosen = best - scores[at][others[:count]].max()
            rows[-1].append([chosen, best - at_random(scores[at], count), best - first_draws(surface, count)])
        print(
            f"{surface.name:26}{surface.probe * 100:7.1f}{best * 100:7.1f}{surface.spread * 100:8.1f}{cells(rows[-1])}"
        )
    print(f"{'mean':48}{cells(np.mean(rows, axis=0))}")
    print(
        f"each: the other sets' portfolio / as many of the grid at random / the sampler's first, mean of {SEEDS} seeds"
    )


def cells(regrets: Any) -> str:
    return "".join(f"{' / '.join(f'{each * 100:.1f}' for each in one):>19}" for one in regrets)


def at_random(scores: np.ndarray, count: int) -> float:
    """Return the mean best score of so many configurations of the grid at random."""
    random = np.random.default_rng(0)
    draws = [scores[random.choice(len(scores), count, replace=False)].max() for _ in range(5000)]
    return statistics.mean(draws)


def first_draws(surface: Surface, count: int) -> float:
    """Return the mean best score of the first trials of default.yaml's sampler."""
    draws = [[surface.expected(point).max() for point in drawn(seed)[:count]] for seed in range(SEEDS)]
    return statistics.mean(map(max, draws))


@cache
def drawn(seed: int) -> tuple[Point, ...]:
    """Return what the sampler of default.yaml suggests first, without any point to try."""
    config = settings(seed=seed, points=())
    searcher = PlayedSweep(config).searcher
    return tuple({name: found[name] for name in config.space} for found in map(searcher.suggest, "abcd"))


@dataclass(frozen=True)
class Cell:
    """The settings of a row of simulated sweeps."""

    sampler: str
    rule: str
    min_results: int
    factor: float
    grace: int
    points: int
    startup: int


def simulate(options: argparse.Namespace) -> None:
    """Print a row for each combination of settings."""
    names = (options.samplers, options.rules, options.min_results, options.factors, options.grace)
    head = "".join(f"{f'regret at {at}':>14}" for at in AT)
    print(f"{'sampler rule':16}{'results factor grace points startup':>36}{'epochs':>8}{head}", flush=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        for cell in itertools.starmap(Cell, itertools.product(*names, options.points, options.startup)):
            shares = [range(job, options.sweeps, options.jobs) for job in range(options.jobs)]
            runs = np.concatenate(list(pool.map(run_sweeps, [cell] * options.jobs, shares)))
            means, errors = runs.mean(axis=0), runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
            row = f"{cell.min_results:9}{cell.factor:7g}{cell.grace:6}{cell.points:7}{cell.startup:7}{means[0]:8.1f}"
            for mean, error in zip(means[1:], errors[1:], strict=True):
                row += f"{f'{mean * 100:.2f} ± {error * 100:.2f}':>14}"
            print(f"{cell.sampler:7} {cell.rule:8}{row}", flush=True)


def run_sweeps(cell: Cell, seeds: Sequence[int]) -> np.ndarray:
    """Return, for each sweep, the epochs that it ran and its regret after so many trials (AT)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    return np.array([run_sweep(cell, seed) for seed in seeds])


def run_sweep(cell: Cell, seed: int) -> list[float]:
    """Play one sweep on the set that its seed falls to."""
    found = surfaces()
    whole = [at for at, surface in enumerate(found) if surface.whole]
    at = whole[seed % len(whole)]
    rule = EarlyStopping(
        kind=cell.rule, grace_epochs=cell.grace, reduction_factor=cell.factor, min_results=cell.min_results
    )
    config = settings(
        seed=seed,
        sampler=cell.sampler,
        points=others_portfolio(at)[: cell.points],
        startup_trials=cell.startup,
        early_stopping=rule,
    )
    game = CurveSweep(config, found[at])
    game.play()
    return [float(len(game.reported)), *map(game.regret, AT)]


@cache
def others_portfolio(at: int) -> tuple[Point, ...]:
    """Return the portfolio that all sets but one choose."""
    points = recorded()
    scores = np.delete(best_scores(surfaces(), points), at, axis=0)
    return tuple(points[each] for each in greedy(scores, MOST_POINTS))


@cache
def default_sweep() -> SweepConfig:
    return read_sweep(DEFAULT, ["dataset=none", "experiment=none"])


def settings(**changes: Any) -> SweepConfig:
    """Return default.yaml with changes."""
    return default_sweep().model_copy(update=changes)


class CurveSweep(PlayedSweep):
    """A sweep over a set's curves; `reported` holds trial, epoch, value and configuration of all epochs."""

    def __init__(self, config: SweepConfig, surface: Surface) -> None:
        super().__init__(config)
        self._surface = surface
        self.reported: list[tuple[int, int, float, dict[str, Any]]] = []

    def values(self, config: dict[str, Any]) -> list[float]:
        """A run's values, up to the epoch at which its own patience ends it."""
        values = self._surface.run(config, config["seed"])
        best = 0
        for at, value in enumerate(values):
            best = at if value > values[best] else best
            if at - best >= config["patience"]:
                return values[: at + 1]
        return values

    def report(self, trial: FakeTrial, epoch: int, value: float, *, last: bool = False) -> bool:
        self.reported.append((trial.number, epoch, value, trial.config))
        return super().report(trial, epoch, value, last=last)

    def regret(self, trials: int) -> float:
        """How much worse the best of so many trials is than the best of the space, by what each should reach."""
        known = [one for one in self.reported if one[0] < trials]
        _, epoch, _, config = max(known, key=lambda one: one[2])
        return self._surface.best - float(self._surface.expected(config)[epoch - 1])


if __name__ == "__main__":
    main()
