"""A sweep that takes long, to be interrupted: `python -m tests.search_tests.slow_sweep FOLDER`."""

import os
import sys
from pathlib import Path

from search.sweep import run_sweep
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import with_faults
from trainables.errors import run_command


def main() -> int:
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    config = sweep(Path(sys.argv[1]), trials=50, trial={"epochs": 9})
    run_sweep(config, with_faults({}, seconds=0.5))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
