"""Drivers that are killed with SIGKILL, one after the other, until the sweep has ended: `… dying_driver DIR SEED`.

Study and checkpoints are real files; Ray is played (tests/search_tests/tune_loop.py), so that a life takes a second.
Each life is a process of its own, forked when all is imported; prints how many of them were killed.
"""

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy

from search.config.schema import SweepConfig
from search.study.storage import opened_storage
from search.study.study import continued_study, open_trials, settle
from tests.search_tests.example import sweep
from tests.search_tests.tune_loop import PlayedSweep
from trainables.files.experiment import trial_folder
from trainables.training.checkpoint import Checkpoints

# Large enough that a kill comes while one is being written.
STATE = {"weights": np.random.default_rng(0).normal(size=100_000)}


def config(folder: Path) -> SweepConfig:
    return sweep(folder, trials=20, seed=9, startup_trials=4, early_stopping={"min_results": 2}, checkpoint_every=1)


def live(config: SweepConfig) -> None:
    """Begin the sweep or go on with it, as search/resume.py does, until it has ended."""
    folder = Path(config.experiment)
    folder.mkdir(exist_ok=True)

    def of(number: int) -> Checkpoints:
        return Checkpoints(trial_folder(folder, number), 1)

    with opened_storage(folder) as storage:
        study = continued_study(config, "fingerprint", storage)
        left = max(config.trials - settle(study, config, None), len(open_trials(study)))
        begun = {trial.number: of(trial.number).newest()[0] for trial in open_trials(study)}
        game = PlayedSweep(
            config,
            study=study,
            checkpoint=lambda number, epoch: _write(of(number), epoch),
            checkpoints={number: checkpoint.epoch for number, checkpoint in begun.items() if checkpoint},
        )
        game.play(trials=left)


def main() -> None:
    folder, dice, deaths = Path(sys.argv[1]), random.Random(sys.argv[2]), 0
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    while True:
        commits, delay = dice.randint(8, 45), dice.choice([0, 0.0002, 0.001, 0.004])
        life = os.fork()
        if life == 0:
            _die_after(commits, delay)
            live(config(folder))
            os._exit(0)
        status = os.waitpid(life, 0)[1]
        if not os.WIFSIGNALED(status):
            assert status == 0
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        deaths += 1
    print(deaths)


def _write(checkpoints: Checkpoints, epoch: int) -> None:
    checkpoints.write(STATE, {"epoch": epoch})


def _die_after(commits: int, delay: float) -> None:
    left = iter(range(commits - 1, -1, -1))

    def committed(_: Any) -> None:
        if next(left, None) == 0:
            threading.Thread(target=_die, args=(delay,), daemon=True).start()

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", committed)


def _die(delay: float) -> None:
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
