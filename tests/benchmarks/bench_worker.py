"""A warm worker over many trials: what each leaves behind in memory, and what it costs besides its epochs.

    python -m tests.benchmarks.bench_worker --trials 100

One process trains a hundred one-epoch trials of a small network on drawn pictures, with random knobs, as a sweep's
worker does; every width and cut is met in the first trials, so that what grows after the first quarter is a leak.
"""

import argparse
import gc
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil

from tests.trainables_tests.training_example import SMALL, make_dataset
from trainables.config import RunSettings
from trainables.data.dataset import Dataset
from trainables.trial import FineTuneTrial

WIDTHS, UNFROZEN_LAYERS = (16, 32, 64), (0, 10, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = settings(make_dataset(Path(folder)), Path(folder))
        resident, costs = train(run, arguments.trials)
    print_table(resident, costs)


def settings(dataset: Dataset, folder: Path) -> RunSettings:
    """Store and checkpoints in `folder`, one thread."""
    return RunSettings(
        trial=0,
        dataset=str(dataset.folder),
        store=folder / "store",
        threads=1,
        plan=UNFROZEN_LAYERS,
        checkpoint_dir=str(folder / "checkpoints"),
        checkpoint_every=1,
    )


def train(run: RunSettings, trials: int) -> tuple[list[int], list[float]]:
    """Resident bytes after each trial, and its seconds besides training and evaluating."""
    generator = np.random.default_rng(0)
    resident, costs = [], []
    trial: FineTuneTrial | None = None
    for number in range(trials):
        knobs = {
            "dense_units": WIDTHS[number % 3],
            "unfrozen_layers": UNFROZEN_LAYERS[number // 3 % 3],
            "learning_rate": float(10 ** generator.uniform(-4, -2)),
            "dropout": float(generator.uniform(0, 0.6)),
            "seed": number,
        }
        shutil.rmtree(run.checkpoint_dir, ignore_errors=True)
        started = time.perf_counter()
        config = {**SMALL.model_dump(), **knobs, "run": run}
        if trial is None:
            trial = FineTuneTrial(config)
        else:
            trial.reset_config(config)
        result = trial.step()
        costs.append(time.perf_counter() - started - result["epoch_seconds"])
        gc.collect()
        resident.append(psutil.Process().memory_info().rss)
    return resident, costs


def print_table(resident: list[int], costs: list[float]) -> None:
    print(f"{'after trial':>12} {'resident MB':>12}")
    marks = sorted({round(share * (len(resident) - 1)) for share in (0, 0.1, 0.25, 0.5, 0.75, 1)})
    for number in marks:
        print(f"{number + 1:12} {resident[number] / 1e6:12.1f}")
    warm = len(resident) // 4
    growth = (resident[-1] - resident[warm]) / (len(resident) - 1 - warm)
    print(f"growth after the first quarter: {growth / 1e3:.0f} kB a trial")
    own = costs[warm:]
    print(f"a warm trial's own cost: median {1e3 * statistics.median(own):.0f} ms, most {max(own):.2f} s")


if __name__ == "__main__":
    main()
