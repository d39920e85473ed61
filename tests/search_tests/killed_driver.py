"""A real driver that begins a sweep or resumes it, and may be killed: `python -m tests.search_tests.killed_driver DIR`.

With `--die-after N` it is killed with SIGKILL, `--delay` seconds after its N-th commit to the study. With
`--mirror URL` the sweep lies at a URL, and `--fetch` resumes it from there, in the current folder.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy

from search.config.schema import SweepConfig
from search.resume import resume_sweep
from search.sweep import run_sweep
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import with_faults
from trainables.errors import run_command


def main() -> int:
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.0, help="per epoch")
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--storage")
    parser.add_argument("--join", action="store_true")
    parser.add_argument("--mirror")
    parser.add_argument("--fetch", action="store_true")
    options = parser.parse_args()
    if options.die_after:
        _die_after(options.die_after, options.delay, options.folder)
    trainable = with_faults({}, seconds=options.seconds)
    if options.fetch:
        best, _ = resume_sweep(options.mirror, options.set, trainable)
    elif (options.folder / "experiment" / "sweep.yaml").exists():
        best, _ = resume_sweep(options.folder / "experiment", options.set, trainable)
    else:
        begun = config(options.folder, options.trials, options.epochs, options.storage, options.mirror)
        best = run_sweep(begun, trainable, join=options.join)
    print(f"best {best.score:.6f}: trial {best.trial}")
    return 0


def config(
    folder: Path, trials: int, epochs: int, storage: str | None = None, mirror: str | None = None
) -> SweepConfig:
    return sweep(
        folder, trials=trials, trial={"epochs": epochs}, seed=7, startup_trials=4, checkpoint_every=1,
        early_stopping={"min_results": 2}, storage=storage, mirror=mirror,
    )  # fmt: skip


def _die_after(commits: int, delay: float, folder: Path) -> None:
    left = iter(range(commits - 1, -1, -1))

    def committed(_: Any) -> None:
        if next(left, None) == 0:
            threading.Thread(target=_die, args=(delay, folder), daemon=True).start()

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", committed)


def _die(delay: float, folder: Path) -> None:
    time.sleep(delay)
    children = [(child.pid, child.create_time()) for child in psutil.Process().children(recursive=True)]
    (folder / "children.json").write_text(json.dumps(children))
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run_command(main))
