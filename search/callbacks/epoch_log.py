"""Log of every trial's epochs: trials/0007/epochs.jsonl, a JSON line each."""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from search.config.schema import REPORTED
from search.records import read_epochs
from search.study.trial_end import DIVERGED
from search.tune.observers import EpochResult, ObservedTrial, Observer
from trainables.files.experiment import EPOCHS_FILE, trial_folder
from trainables.files.output import append_line, write_text
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


class EpochLog(Observer):
    """A line is whole or absent, and an epoch stands once."""

    def __init__(self, experiment: Path) -> None:
        self._experiment = experiment

    def epoch(self, trial: ObservedTrial, result: EpochResult) -> None:
        """Append the epoch; what a driver before this one logged of it and later ones is overwritten."""
        file = trial_folder(self._experiment, trial.number) / EPOCHS_FILE
        if result.first and file.exists():
            kept = [line for line in read_epochs(file) if line["epoch"] < result.epoch]
            write_text("".join(json.dumps(line) + "\n" for line in kept), file)
        line = {key: _plain(result.reported[key]) for key in KEYS if key in result.reported}
        if result.stop is not None:
            line |= {"done": True, "stop_kind": result.stop.kind, "stop_reason": result.stop.reason}
        elif line.get("stop_kind") == "failed":  # The trial's own word for a loss that is not finite.
            line["stop_kind"] = DIVERGED
        append_line(json.dumps(line), file)


def mend_logs(experiment: Path, trials: Iterable[FrozenTrial], metric: str) -> None:
    """Put back into the logs of ended trials the epochs that they lost, as far as the study knows them; say so.

    What an open trial's log has lost comes back from its checkpoint (search/tune/searcher.py).
    """
    for trial in trials:
        file = trial_folder(experiment, trial.number) / EPOCHS_FILE
        lines = {line["epoch"]: line for line in read_epochs(file)}
        lost = sorted(trial.intermediate_values.keys() - lines.keys())
        if lost and trial.state.is_finished():
            lines |= {epoch: {"epoch": epoch, metric: trial.intermediate_values[epoch]} for epoch in lost}
            write_text("".join(json.dumps(lines[epoch]) + "\n" for epoch in sorted(lines)), file)
            epochs = ", ".join(map(str, lost))
            print(f"warning: {file} had lost epochs {epochs}; of these only {metric} is left", file=sys.stderr)


def _plain(value: Any) -> Any:
    """JSON has no NaN: a non-finite number becomes null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
