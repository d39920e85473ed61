"""Write every trial's epochs as JSON lines: trials/0007/epochs.jsonl, one line per epoch."""

import json
import math
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.config.schema import REPORTED
from search.config.trial_plan import trial_number
from search.records import read_epochs
from search.tune.state import SweepState
from trainables.files.experiment import EPOCHS_FILE, trial_folder
from trainables.files.output import write_text
from trainables.network.cost import COSTS

# The result of one epoch, as the trainable gives it.
KEYS = (
    "epoch",
    *REPORTED,
    *COSTS,
    "best_val_macro_f1",
    "best_epoch",
    "learning_rate",
    "setup_seconds",
    "step_seconds",
    "store_rows",
    "store_filled",
    "store_filled_bytes",
    "store_fill_seconds",
    "uncached",
    "done",
    "stop_kind",
    "stop_reason",
)


class EpochLog(Callback):
    """Driver-side log of all epochs; a line is whole or absent, and an epoch stands once."""

    def __init__(self, experiment: Path, sweep_state: SweepState) -> None:
        self._experiment = experiment
        self._sweep_state = sweep_state
        self._last: dict[int, int] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Append the epoch; a trial that began again, its worker or driver lost, overwrites what it repeats."""
        number, epoch = trial_number(trial), int(result.get("epoch", 0))
        file = trial_folder(self._experiment, number) / EPOCHS_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        if epoch <= self._last.get(number, math.inf if file.exists() else 0):
            _keep_before(file, epoch)
        self._last[number] = epoch
        with file.open("a") as lines:
            lines.write(json.dumps(self._line(number, result)) + "\n")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Forget the trial: memory must not grow with the number of trials."""
        self._last.pop(trial_number(trial), None)

    on_trial_error = on_trial_complete

    def _line(self, number: int, result: dict[str, Any]) -> dict[str, Any]:
        line = {key: _plain(result[key]) for key in KEYS if key in result}
        stop = self._sweep_state.stops.get(number)
        if stop is not None:
            line |= {"done": True, "stop_kind": stop.kind, "stop_reason": stop.reason}
        return line


def _keep_before(file: Path, epoch: int) -> None:
    kept = [line for line in read_epochs(file) if line["epoch"] < epoch]
    write_text("".join(json.dumps(line) + "\n" for line in kept), file)


def _plain(value: Any) -> Any:
    """JSON has no NaN: a non-finite number becomes null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
