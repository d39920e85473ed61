"""A sweep of synthetic trials, submitted like any command: `submit.py -- DRIVER.py FOLDER --trials 6 --seconds 0.5`."""

import argparse
import socket
import sys
import time
from pathlib import Path
from typing import Any

from search.sweep import run_sweep
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import SyntheticTrial
from trainables.errors import run_command


class SleepingTrial(SyntheticTrial):
    """Leaves the CPU alone as a GPU trial does, and says where it ran."""

    def _metrics(self) -> dict[str, Any]:
        return super()._metrics() | {"host": socket.gethostname()}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="holds the dataset and the experiment; on shared storage")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.5, help="per epoch")
    parser.add_argument("--concurrent", default="auto")
    parser.add_argument("--no-early-stopping", action="store_true")
    parser.add_argument("--max-failures", type=int, default=3)
    options = parser.parse_args()
    SleepingTrial.SECONDS = options.seconds
    concurrent = options.concurrent if options.concurrent == "auto" else int(options.concurrent)
    config = sweep(
        options.folder,
        name=options.folder.name,
        trials=options.trials,
        trial={"epochs": options.epochs, "image_size": 75, "weights": "random", "patience": options.epochs},
        resources={"concurrent_trials": concurrent, "threads_per_trial": 1},
        early_stopping={"kind": "none"} if options.no_early_stopping else {"kind": "asha"},
        max_failures=options.max_failures,
        checkpoint_every=1,
    )
    began = time.monotonic()
    best = run_sweep(config, SleepingTrial)
    print(f"best {best.metric} {best.score:.4f}: trial {best.trial}; {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
