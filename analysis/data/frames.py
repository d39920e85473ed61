"""The trials of an experiment as tidy pandas frames: a row per trial, and a row per trial and epoch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis.data.experiment import read
from analysis.render.files import write_bytes, write_text
from search.records import Experiment, TrialRecord


class Column(NamedTuple):
    """Its unit ("" for none), and its meaning."""

    unit: str
    meaning: str


TRIAL_COLUMNS = {
    "trial": Column("", "number of the trial, from 0, in the order of suggestion"),
    "state": Column("", "complete, pruned (stopped by the scheduler), failed, running or waiting"),
    "value": Column("as the objective", "best objective over the trial's epochs; empty for a trial that failed"),
    "best_epoch": Column("epochs, from 1", "epoch of the best objective"),
    "epochs": Column("epochs", "how many epochs were run"),
    "stop_kind": Column("", "why the trial ended, as a word; running while it has not"),
    "stop_epoch": Column("epochs, from 1", "epoch at which it ended"),
    "stop_rung": Column("epochs, from 1", "rung at which the scheduler stopped it; empty otherwise"),
    "stop_value": Column("as the objective", "what the trial had reached at that rung"),
    "stop_cutoff": Column("as the objective", "what it had to reach there"),
    "stop_competed": Column("trials", "how many results the cutoff was made of"),
    "stop_reason": Column("", "why the trial ended, as a sentence"),
    "seconds": Column("seconds", "wall-clock time from start to end"),
    "started": Column("local time", "when it started"),
    "ended": Column("local time", "when it ended"),
    "host": Column("", "machine it ran on"),
    "device": Column("", "processor it ran on"),
    "seed": Column("", "seed of its training"),
}
# Of a sweep with two objectives; the first column's name is the second objective's.
COST_COLUMNS = {
    "model_mb": Column("MB", "float32 size of all weights of the trial's model"),
    "latency_ms": Column("ms", "median time in which the trial's model predicts one photo, on the machine it ran on"),
    "front": Column("", "whether no other trial is at least as good and costs no more"),
}
EXPERIMENT = Column("", "which of the experiments that were loaded together")
EPOCH_COLUMNS = {
    "trial": Column("", "number of the trial, as in the trials table"),
    "epoch": Column("epochs, from 1", "the epoch that has just ended"),
    "train_loss": Column("nats", "training loss, with the L2 penalty"),
    "train_accuracy": Column("share of 1", "share of training photos that were predicted right"),
    "train_macro_f1": Column("share of 1", "mean of the families' F1 on training photos"),
    "train_cross_entropy": Column("nats", "training loss without the L2 penalty"),
    "val_loss": Column("nats", "validation loss, with the L2 penalty"),
    "val_accuracy": Column("share of 1", "share of validation photos that were predicted right"),
    "val_macro_f1": Column("share of 1", "mean of the families' F1 on validation photos"),
    "val_cross_entropy": Column("nats", "validation loss without the L2 penalty"),
    "best_val_macro_f1": Column("share of 1", "highest val_macro_f1 so far in this trial"),
    "best_epoch": Column("epochs, from 1", "epoch of the highest val_macro_f1 so far"),
    "learning_rate": Column("", "learning rate at the end of the epoch"),
    "epoch_seconds": Column("seconds", "wall-clock time of the epoch"),
}
TRIALS = {**TRIAL_COLUMNS, **COST_COLUMNS}
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}


@dataclass(frozen=True)
class Frames:
    """`trials` has the columns of TRIAL_COLUMNS and a `param_…` column per knob; `epochs` those of EPOCH_COLUMNS.

    With two objectives, `trials` has two of COST_COLUMNS more: what each model costs, and who is on the front.

    `attrs["columns"]` of each holds the unit and the meaning of every column.
    """

    trials: pd.DataFrame
    epochs: pd.DataFrame


def load(experiment: Path | str) -> Frames:
    """Read an experiment's folder.

    Raises:
        UserError: the folder holds no sweep, or one of its records is damaged.
    """
    return frames(read(experiment))


def together(tables: Mapping[str, Frames]) -> Frames:
    """The frames of several experiments one below the other, with a first column `experiment` that tells them apart."""
    both = []
    for kind, known in (("trials", TRIALS), ("epochs", EPOCH_COLUMNS)):
        own = [getattr(each, kind).assign(experiment=label) for label, each in tables.items()]
        whole = pd.concat(own, ignore_index=True)
        whole = whole[["experiment", *(name for name in whole if name != "experiment")]]
        both.append(documented(whole, {"experiment": EXPERIMENT, **known}))
    return Frames(*both)


def frames(experiment: Experiment) -> Frames:
    """Make the frames of an experiment that has been read."""
    metric = str(experiment.sweep["metric"])
    trials = pd.DataFrame([_trial_row(record) for record in experiment.trials])
    costs = [experiment.cost, "front"] if experiment.cost else []
    if experiment.cost:
        front = set(experiment.front)
        trials[experiment.cost] = pd.Series([record.cost for record in experiment.trials], dtype=float)
        trials["front"] = pd.Series([record.number in front for record in experiment.trials], dtype="boolean")
    epochs = pd.DataFrame([row for record in experiment.trials for row in _epoch_rows(record, metric)])
    knobs = [name for name in (f"param_{knob}" for knob in experiment.sweep["space"]) if name in trials]
    return Frames(
        documented(trials.reindex(columns=[*TRIAL_COLUMNS, *costs, *knobs]).astype(_TRIAL_TYPES), TRIALS),
        documented(epochs.reindex(columns=list(EPOCH_COLUMNS)).astype(_EPOCH_TYPES), EPOCH_COLUMNS),
    )


_EPOCH_TYPES: Any = dict.fromkeys(EPOCH_COLUMNS, float) | {"trial": int, "epoch": int, "best_epoch": "Int64"}
_TRIAL_TYPES: Any = {
    "trial": int,
    **dict.fromkeys(["value", "stop_value", "stop_cutoff", "seconds"], float),
    **dict.fromkeys(["best_epoch", "epochs", "stop_epoch", "stop_rung", "stop_competed", "seed"], "Int64"),
}


def _trial_row(record: TrialRecord) -> dict[str, Any]:
    stop = record.stop or {}
    state = STATES.get(record.state, record.state.lower())
    return {
        "trial": record.number,
        "state": state,
        # What a trial did before it failed cannot be relied on: the sweep does not choose it either.
        "value": None if state == "failed" else record.value,
        "best_epoch": None if state == "failed" else record.best_epoch,
        "epochs": max([*record.values, *(row["epoch"] for row in record.epochs)], default=0),
        "stop_kind": stop.get("kind", "running" if state in {"running", "waiting"} else "failed"),
        **{f"stop_{key}": stop.get(key) for key in ("epoch", "rung", "value", "cutoff", "competed", "reason")},
        **{key: getattr(record, key) for key in ("seconds", "started", "ended", "host", "device", "seed")},
        **{f"param_{name}": value for name, value in record.params.items()},
    }


def _epoch_rows(record: TrialRecord, metric: str) -> list[dict[str, Any]]:
    """The trial's log; where the log is lost, the study still knows the objective of each epoch."""
    rows: list[dict[str, Any]] = [dict(row) for row in record.epochs]
    rows = rows or [{"epoch": epoch, metric: value} for epoch, value in record.values.items()]
    return [{"trial": record.number, **row} for row in rows]


def column_documentation(tables: Frames) -> pd.DataFrame:
    """A row per column of both frames: table, column, unit, meaning."""
    rows = [
        (table, str(name), *known.get(str(name), EXPERIMENT if name == "experiment" else PARAMETER))
        for table, frame, known in (("trials", tables.trials, TRIALS), ("epochs", tables.epochs, EPOCH_COLUMNS))
        for name in frame
    ]
    return pd.DataFrame(rows, columns=["table", "column", "unit", "meaning"])


def export(tables: Frames, folder: Path, formats: Collection[str] = ("csv",)) -> list[Path]:
    """Write trials and epochs in each of the `formats` ("csv", "parquet"); return the files.

    columns.csv explains the columns of both; Parquet files also carry that in their pandas attributes, and keep types.
    """
    files = []
    for name, table in (("trials", tables.trials), ("epochs", tables.epochs)):
        if "csv" in formats:
            files.append(folder / f"{name}.csv")
            write_text(files[-1], table.to_csv(index=False))
        if "parquet" in formats:
            files.append(folder / f"{name}.parquet")
            write_bytes(files[-1], table.to_parquet(index=False))
    files.append(folder / "columns.csv")
    write_text(files[-1], column_documentation(tables).to_csv(index=False))
    return files


PARAMETER = Column("as in the sweep file", "value of a searched knob")


def documented(frame: pd.DataFrame, known: Mapping[str, Column]) -> pd.DataFrame:
    """The frame with `attrs["columns"]`: {column: {"unit", "meaning"}}. Parquet files keep it."""
    frame.attrs["columns"] = {str(name): known.get(str(name), PARAMETER)._asdict() for name in frame}
    return frame
