"""Do sweeps run as many epochs as the forecast says?

    python -m tests.benchmarks.bench_forecast --trials 20 60 --seeds 10

Sweeps on learning curves by a formula, one trial at a time, without Ray (its order of calls is played).
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import optuna

from search.forecast.forecast import expected_epochs
from tests.benchmarks.bench_feedback import CurveSweep
from tests.search_tests.example import sweep

EPOCHS = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", nargs="+", type=int, default=[20, 60], help="of a sweep")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    print(f"{'trials':>6} {'sampler':8}{'factor':>7}{'epochs':>8}{'from':>6}{'to':>6}{'forecast':>10}")
    for trials in options.trials:
        for sampler in ("tpe", "random"):
            for factor in (2.0, 3.0, 4.0):
                print_row(trials, sampler, factor, options.seeds)


def print_row(trials: int, sampler: str, factor: float, seeds: int) -> None:
    runs = [epochs_run(trials, sampler, factor, seed) for seed in range(seeds)]
    epochs, expected = zip(*runs, strict=True)
    print(
        f"{trials:6} {sampler:8}{factor:7.0f}{np.mean(epochs):8.0f}{min(epochs):6}{max(epochs):6}{expected[0]:10.0f}",
        flush=True,
    )


def epochs_run(trials: int, sampler: str, factor: float, seed: int) -> tuple[int, float]:
    """How many epochs a sweep ran, and how many were forecast."""
    with tempfile.TemporaryDirectory() as folder:
        rule = {"reduction_factor": factor}
        config = sweep(
            Path(folder), trials=trials, seed=seed, sampler=sampler, trial={"epochs": EPOCHS}, early_stopping=rule
        )
        game = CurveSweep(config)
        game.play()
        expected = expected_epochs(config.early_stopping, EPOCHS, trials, config.learns)
        return len(game.reported), trials * expected


if __name__ == "__main__":
    main()
