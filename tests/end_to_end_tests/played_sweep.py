"""A sweep that goes on for minutes without Ray or TensorFlow: `python -m tests.end_to_end_tests.played_sweep FOLDER`.

The searcher, the scheduler, the study and the TensorBoard writer are the real ones; Ray's loop and the training are
played (tests/search_tests/tune_loop.py). It leaves what a running sweep leaves, for whoever looks at it.
"""

import sys
import time
from pathlib import Path

import optuna

from search.callbacks.tensorboard import TensorBoardRuns
from search.config.file import dump_sweep
from search.config.schema import SweepConfig
from search.study.storage import open_storage
from search.tune.observers import ObserverCallback
from tests.search_tests.example import sweep
from tests.search_tests.tune_loop import FakeTrial, PlayedSweep

AT_ONCE = 14  # trials that are played without a pause
EPOCH_SECONDS = 1.0  # of the trials after them


class SeenSweep(PlayedSweep):
    """Writes its TensorBoard runs as it goes; after the first trials at a pace that can be watched."""

    def __init__(self, config: SweepConfig, storage: optuna.storages.BaseStorage) -> None:
        super().__init__(config, storage=storage)
        runs = TensorBoardRuns(Path(config.experiment), config.metric, list(config.space))
        self._board = ObserverCallback([runs], config.metric, self.sweep_state)

    def report(self, trial: FakeTrial, epoch: int, value: float, *, last: bool = False) -> bool:
        if epoch == 1:
            self._board.on_trial_start(0, [], trial)
        time.sleep(EPOCH_SECONDS if trial.number >= AT_ONCE else 0)
        ended = super().report(trial, epoch, value, last=last)
        more = {"train_macro_f1": min(1.0, 1.1 * value), "val_accuracy": value}
        more |= {"train_cross_entropy": 3 - 3 * value, "val_cross_entropy": 3.3 - 3 * value}
        self._board.on_trial_result(0, [], trial, {**trial.last_result, **more, "learning_rate": 1e-3 / epoch})
        if ended:
            self._board.on_trial_complete(0, [], trial)
        return ended


def main() -> None:
    config = sweep(Path(sys.argv[1]), trials=2000, trial={"epochs": 9})
    experiment = Path(config.experiment)
    experiment.mkdir()
    storage = open_storage(experiment)
    (experiment / "sweep.yaml").write_text(dump_sweep(config))
    SeenSweep(config, storage).play(beside=3)


if __name__ == "__main__":
    main()
