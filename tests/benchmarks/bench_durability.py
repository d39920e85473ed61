"""What it costs that records and stored activations wait for the disk, and are checked by checksums.

    python -m tests.benchmarks.bench_durability sweep                    # needs `eatmydata` (apt-get install eatmydata)
    python -m tests.benchmarks.bench_durability checksums STORE --sweep-seconds 2362

sweep: a sweep on real Ray whose epochs of a second train nothing (tests/search_tests/synthetic.py), in turns as it is
and under eatmydata, which makes every wait for the disk nothing. Each epoch writes a checkpoint, which few sweeps do.
checksums: all rows of a store read and checked once, as each process does when it opens the entries, against the time
of a sweep; each file is read before, so that the disk does not count.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    swept = commands.add_parser("sweep")
    swept.add_argument("--rounds", type=int, default=3)
    swept.add_argument("--trials", type=int, default=12)
    swept.add_argument("--seconds", type=float, default=1.0, help="of an epoch [1]")
    swept.set_defaults(run=sweeps)
    checked = commands.add_parser("checksums")
    checked.add_argument("store", type=Path)
    checked.add_argument("--sweep-seconds", type=float, required=True, help="of the sweep that filled it")
    checked.add_argument("--processes", type=int, default=2, help="that opened it [2]")
    checked.set_defaults(run=checksums)
    options = parser.parse_args()
    options.run(options)


def sweeps(options: argparse.Namespace) -> None:
    """Print the seconds of each sweep, and the ratio of the medians."""
    if shutil.which("eatmydata") is None:
        sys.exit("eatmydata is not installed: apt-get install eatmydata")
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    kinds: list[tuple[str, list[str]]] = [("with", []), ("without", ["eatmydata"])]
    for number in range(options.rounds):
        for kind, before in kinds if number % 2 == 0 else kinds[::-1]:
            with tempfile.TemporaryDirectory(prefix="bench-durability-") as folder:
                sizes = "--trials", options.trials, "--seconds", options.seconds
                command = [*before, sys.executable, "-m", "tests.search_tests.killed_driver", folder, *sizes]
                started = time.monotonic()
                subprocess.run(list(map(str, command)), check=True, capture_output=True)
                seconds[kind].append(time.monotonic() - started)
        print(f"with durability {seconds['with'][-1]:.1f} s, without {seconds['without'][-1]:.1f} s", flush=True)
    medians = {kind: statistics.median(each) for kind, each in seconds.items()}
    print(f"medians {medians['with']:.1f} and {medians['without']:.1f} s: {medians['with'] / medians['without']:.3f}")


def checksums(options: argparse.Namespace) -> None:
    """Print how long all rows of a store take to check, and which part of a sweep that is."""
    from trainables.activations.array_file import ArrayFile

    total, seconds = 0, 0.0
    files = sorted(options.store.rglob("*.npy"))
    for file in files:
        array = ArrayFile(file)
        rows = array.load()
        if rows is None:
            sys.exit(f"{file} is damaged")
        with file.open("rb") as content:
            while content.read(2**24):  # So that the disk does not count.
                pass
        started = time.monotonic()
        array.checksum(0, len(rows))
        seconds += time.monotonic() - started
        total += rows.nbytes
    share = options.processes * seconds / options.sweep_seconds
    print(
        f"{total / 1e9:.2f} GB of {len(files)} files in {seconds:.1f} s, {total / 1e9 / seconds:.2f} GB/s; "
        f"{options.processes} processes: {share:.2%} of a sweep of {options.sweep_seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
