"""One configuration trained on every fold, an epoch of each at a time, and judged by the photos held back."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from trainables.network.tail import State
from trainables.training.fine_tune import Evaluation, FineTuning, Metrics, Result, macro_f1, stop_after

_FOLD = "fold-"


class FoldedTuning:
    """Runs of one configuration on different photos that take turns in one tail.

    Its figures of validation are those of all photos that were held back by some run, each judged by the run that did
    not see it; those of training are the runs' means. `epoch` is the last one finished of all runs.
    """

    def __init__(self, begin: Sequence[Callable[[], FineTuning]]) -> None:
        """Args: `begin` makes the runs, all with the same tail, of which each takes what the one before left."""
        self._runs: list[FineTuning] = []
        self._states: list[State] = []
        for make in begin:
            self._runs.append(make())
            self._states.append(self._runs[-1].state())
        self.config = self._runs[0].config
        self.epoch = 0
        self.best_epoch = 0
        self.best_score = -math.inf

    def run_epoch(self) -> Result:
        """Train every run for one epoch and judge them together; as `FineTuning.run_epoch`."""
        started, seconds = time.monotonic(), 0.0
        trained: list[Metrics] = []
        judged: list[Evaluation] = []
        for place, run in enumerate(self._runs):
            run.load(self._states[place])
            trained.append(run.train_epoch())
            judged.append(run.judge())
            seconds += run.step_seconds
            self._states[place] = run.state()
        self.epoch += 1
        train = Metrics(*np.mean(trained, axis=0).tolist())
        validation = self._together(judged)
        if validation.macro_f1 > self.best_score and math.isfinite(train.loss):
            self.best_score, self.best_epoch = validation.macro_f1, self.epoch
        return {
            "epoch": self.epoch,
            **{f"train_{name}": value for name, value in train._asdict().items()},
            **{f"val_{name}": value for name, value in validation._asdict().items()},
            "best_val_macro_f1": max(self.best_score, 0.0),
            "best_epoch": self.best_epoch,
            "learning_rate": self._runs[0].last_rate,
            "epoch_seconds": time.monotonic() - started,
            "step_seconds": seconds,
            **stop_after(self.epoch, self.best_epoch, self.config, train, validation),
        }

    def state(self) -> State:
        """All that is needed to go on: the state of every run, and the best epoch."""
        progress = {"epoch": self.epoch, "best_epoch": self.best_epoch, "best_score": self.best_score}
        states = {
            f"{_FOLD}{place}-{name}": value for place, one in enumerate(self._states) for name, value in one.items()
        }
        return {**states, **{name: np.asarray(value) for name, value in progress.items()}}

    def load(self, state: State) -> None:
        """Go on from what `state` gave."""
        self.epoch, self.best_epoch = int(state["epoch"]), int(state["best_epoch"])
        self.best_score = float(state["best_score"])
        for place in range(len(self._runs)):
            prefix = f"{_FOLD}{place}-"
            own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            self._states[place] = own

    def _together(self, judged: Sequence[Evaluation]) -> Metrics:
        labels = [run.validation.labels for run in self._runs]
        photos = [len(each) for each in labels]
        means = Metrics(*np.average([one.metrics for one in judged], axis=0, weights=photos).tolist())
        predicted = np.concatenate([one.probabilities.argmax(axis=1) for one in judged])
        return means._replace(macro_f1=macro_f1(np.concatenate(labels), predicted))
