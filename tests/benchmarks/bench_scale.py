"""What a long sweep costs its driver, against stock Ray Tune with OptunaSearch in the same run.

    python -m tests.benchmarks.bench_scale --trials 2000 --keep runs/scale

Both run the same trials, which take no time: learning curves by a formula, TPE and ASHA, two at once on warm workers,
nine epochs at most, a checkpoint after each. `--keep` is where Raretune's sweep is left, as an experiment that
`python -m analysis report` reads. Stock keeps its study in memory, its default; `--ways stock-sqlite` has it on the
disk, as Raretune's always is.

Memory: the slope of the driver's resident bytes over trials, from a fifth of the sweep on. A result: everything that
the driver does with one, in Ray, searcher, scheduler and callbacks. A suggestion: the median of the 21 around a trial.
Snapshots are Ray's own of the experiment's state. Times are wall-clock; a busy machine raises those of both.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

WAYS = ("raretune", "stock", "stock-sqlite")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["raretune", "stock"])
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave Raretune's experiment here; new or empty")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="leave all measured figures here, as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = {}
        for way in options.ways:
            folder = Path(scratch, way, "experiment")
            if way == "raretune" and options.keep:
                folder = options.keep.absolute()
            figures[way] = measure(way, folder, options.figures or Path(scratch), options)
            print(f"{way}: {figures[way]['wall_seconds']:.0f} s for {options.trials} trials", file=sys.stderr)
    print_table(figures, options.trials)


def measure(way: str, folder: Path, where: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one sweep in a process of its own."""
    where.mkdir(parents=True, exist_ok=True)
    file = where / f"{way}.json"
    words = [way, str(folder), str(file), "--trials", str(options.trials), "--seed", str(options.seed)]
    with (where / f"{way}.log").open("w") as log:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.scale_driver", *words], stdout=log, stderr=subprocess.STDOUT
        )
    if done.returncode:
        sys.exit(f"{way} failed:\n{(where / f'{way}.log').read_text()[-3000:]}")
    figures: dict[str, Any] = json.loads(file.read_text())
    return figures


def print_table(figures: dict[str, dict[str, Any]], trials: int) -> None:
    rows = {way: summary(figure, trials) for way, figure in figures.items()}
    print(f"{'':44}" + "".join(f"{way:>16}" for way in rows))
    for name in next(iter(rows.values())):
        print(f"{name:44}" + "".join(f"{row[name]:16.2f}" for row in rows.values()))


def summary(figure: dict[str, Any], trials: int) -> dict[str, float]:
    """The rows of the table."""
    calls: dict[str, list[list[float]]] = figure["calls"]
    wall = {name: [1000 * seconds for seconds, _ in times] for name, times in calls.items()}
    snapshots = [milliseconds for milliseconds in wall["snapshot"] if milliseconds > 1]  # The others were not due.
    results = len(wall["result"])
    row = {
        "driver memory, KB per trial": slope(figure["memory"]) / 1000,
        "result, ms, median": statistics.median(wall["result"]),
        "result, ms, 95th percentile": float(np.percentile(wall["result"], 95)),
        "result, ms, median of the last tenth": statistics.median(wall["result"][-max(1, results // 10) :]),
    }
    for at in (10, 100, 1000, 2000):
        if at <= trials:
            row[f"suggestion at trial {at}, ms"] = statistics.median(wall["suggest"][max(0, at - 11) : at + 10])
    return row | {
        "snapshots": len(snapshots),
        "snapshot, ms, median": statistics.median(snapshots or [0.0]),
        "snapshot, ms, longest": max(snapshots, default=0.0),
        "snapshots, ms per trial": sum(snapshots) / trials,
        "driver's CPU, ms per trial": 1000 * figure["cpu_seconds"] / trials,
        "wall-clock, ms per trial": 1000 * figure["wall_seconds"] / trials,
        "results": results,
    }


def slope(memory: list[int]) -> float:
    """Bytes per trial, by least squares without the first fifth, when imports and caches still fill."""
    later = np.array(memory[len(memory) // 5 :], float)
    return float(np.polyfit(np.arange(len(later)), later, 1)[0])


if __name__ == "__main__":
    main()
