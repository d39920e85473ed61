"""Trials and epochs of an experiment as tidy pandas frames."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from analysis.render.files import write_csv, write_file
from analysis.render.wording import METRICS, NONE, STOP_WORDS, cost_words, count, duration, score, sentence_case
from search.records import Experiment, TrialRecord


class Shown(NamedTuple):
    """A column in the report's tables of trials: `words` writes a cell from its value and the objective's name.

    `place` orders the columns; the knobs stand at KNOBS_PLACE. `heading` is "" for the objective's name, `kind` as in
    `analysis.render.section.Head`.
    """

    place: int
    heading: str
    words: Callable[[Any, str], str]
    kind: str = "num"


class Column(NamedTuple):
    """Its unit ("" for none), its meaning, and its pandas type (None: as the values have it).

    `read` takes the value off a trial's record; `shown` is how the report's table of trials shows it, None for not.
    """

    unit: str
    meaning: str
    dtype: str | None = None
    read: Callable[[TrialRecord], Any] = lambda record: None
    shown: Shown | None = None


OPEN = ("running", "waiting")  # states
KNOBS_PLACE = 60


def _state(record: TrialRecord) -> str:
    return "failed" if record.state == "FAIL" else record.state.lower()


def _relied_on(record: TrialRecord, value: Any) -> Any:
    """What a trial did before it failed or diverged cannot be relied on: the sweep does not choose it either."""
    return None if _state(record) in ("failed", "diverged", "infeasible") else value


def _stop(key: str) -> Callable[[TrialRecord], Any]:
    return lambda record: (record.stop or {}).get(key)


def _whole(value: Any, metric: str) -> str:
    return NONE if pd.isna(value) else count(value)


# To add a column, add it here: the frames, the exported files, columns.csv and the report's table follow.
TRIAL_COLUMNS = {
    "trial": Column(
        "",
        "number of the trial, from 0, in the order of suggestion",
        "int",
        attrgetter("number"),
        Shown(10, "trial", lambda value, _: str(value)),
    ),
    "state": Column(
        "",
        "complete, pruned (stopped by the scheduler), diverged, infeasible, failed, running or waiting",
        None,
        _state,
    ),
    "value": Column(
        "as the objective",
        "best objective over the trial's epochs; empty for a trial that failed, diverged or is infeasible",
        "float",
        lambda record: _relied_on(record, record.value),
        Shown(30, "", score),
    ),
    "best_epoch": Column(
        "epochs, from 1",
        "epoch of the best objective",
        "Int64",
        lambda record: _relied_on(record, record.best_epoch),
        Shown(40, "in epoch", _whole),
    ),
    "epochs": Column(
        "epochs",
        "how many epochs were run",
        "Int64",
        lambda record: max([*record.values, *(row["epoch"] for row in record.epochs)], default=0),
        Shown(50, "epochs run", _whole),
    ),
    "stop_kind": Column(
        "",
        "why the trial ended, as a word; running while it has not",
        None,
        lambda record: {"kind": "running" if _state(record) in OPEN else "failed", **(record.stop or {})}["kind"],
        Shown(20, "how it ended", lambda value, _: STOP_WORDS.get(value, str(value)), "plain"),
    ),
    "stop_epoch": Column("epochs, from 1", "epoch at which it ended", "Int64", _stop("epoch")),
    "stop_rung": Column(
        "epochs, from 1", "rung at which the scheduler stopped it; empty otherwise", "Int64", _stop("rung")
    ),
    "stop_value": Column("as the objective", "what the trial had reached at that rung", "float", _stop("value")),
    "stop_cutoff": Column("as the objective", "what it had to reach there", "float", _stop("cutoff")),
    "stop_competed": Column("trials", "how many results the cutoff was made of", "Int64", _stop("competed")),
    "stop_reason": Column(
        "",
        "why the trial ended, as a sentence",
        None,
        _stop("reason"),
        Shown(80, "why it ended", lambda value, _: sentence_case(value) if isinstance(value, str) else NONE, "why"),
    ),
    "seconds": Column(
        "seconds",
        "wall-clock time from start to end",
        "float",
        attrgetter("seconds"),
        Shown(70, "time", lambda value, _: duration(value)),
    ),
    "started": Column("local time", "when it started", None, attrgetter("started")),
    "ended": Column("local time", "when it ended", None, attrgetter("ended")),
    "host": Column("", "machine it ran on", None, attrgetter("host")),
    "device": Column("", "processor it ran on", None, attrgetter("device")),
    "seed": Column("", "seed of its training", "Int64", attrgetter("seed")),
}
# Of a sweep with two objectives: what a model costs, under the second objective's name, and who is on the front.
COST_COLUMNS = {
    "model_mb": Column(
        "MB",
        "float32 size of all weights of the trial's model",
        "float",
        attrgetter("cost"),
        Shown(55, METRICS["model_mb"], lambda value, _: cost_words(value, "model_mb")),
    ),
    "latency_ms": Column(
        "ms",
        "median time in which the trial's model predicts one photo, on the machine it ran on",
        "float",
        attrgetter("cost"),
        Shown(55, METRICS["latency_ms"], lambda value, _: cost_words(value, "latency_ms")),
    ),
    "front": Column("", "whether no other trial is at least as good and costs no more", "boolean"),
}
EPOCH_COLUMNS = {
    "trial": Column("", "number of the trial, as in the trials table", "int"),
    "epoch": Column("epochs, from 1", "the epoch that has just ended", "int"),
    "train_loss": Column("nats", "training loss, with the L2 penalty", "float"),
    "train_accuracy": Column("share of 1", "share of training photos that were predicted right", "float"),
    "train_macro_f1": Column("share of 1", "mean of the families' F1 on training photos", "float"),
    "train_cross_entropy": Column("nats", "training loss without the L2 penalty", "float"),
    "val_loss": Column("nats", "validation loss, with the L2 penalty", "float"),
    "val_accuracy": Column("share of 1", "share of validation photos that were predicted right", "float"),
    "val_macro_f1": Column("share of 1", "mean of the families' F1 on validation photos", "float"),
    "val_cross_entropy": Column("nats", "validation loss without the L2 penalty", "float"),
    "best_val_macro_f1": Column("share of 1", "highest val_macro_f1 so far in this trial", "float"),
    "best_epoch": Column("epochs, from 1", "epoch of the highest val_macro_f1 so far", "Int64"),
    "learning_rate": Column("", "learning rate at the end of the epoch", "float"),
    "epoch_seconds": Column("seconds", "wall-clock time of the epoch", "float"),
}
PARAMETER = Column("as in the sweep file", "value of a searched knob")


@dataclass(frozen=True)
class Frames:
    """`trials` has TRIAL_COLUMNS, two of COST_COLUMNS with two objectives, and `param_…`; `epochs` has EPOCH_COLUMNS.

    `attrs["columns"]` of each holds the unit and the meaning of every column; Parquet files keep it.
    """

    trials: pd.DataFrame
    epochs: pd.DataFrame


def frames(experiment: Experiment) -> Frames:
    """Make the frames of an experiment."""
    metric, cost, columns = str(experiment.sweep["metric"]), experiment.cost, TRIAL_COLUMNS
    if cost:
        on_front = frozenset(experiment.front)
        front = COST_COLUMNS["front"]._replace(read=lambda record: record.number in on_front)
        columns = {**columns, cost: COST_COLUMNS[cost], "front": front}
    trials, epochs = [], []
    for record in experiment.trials:
        params = {f"param_{knob}": value for knob, value in record.params.items()}
        trials.append({name: column.read(record) for name, column in columns.items()} | params)
        # Where the log is lost, the study still knows the objective of each epoch.
        log = record.epochs or [{"epoch": epoch, metric: value} for epoch, value in record.values.items()]
        epochs += [{"trial": record.number, **row} for row in log]
    known = set().union(*trials)
    knobs = [name for name in (f"param_{knob}" for knob in experiment.sweep["space"]) if name in known]
    return Frames(typed(trials, columns, knobs), typed(epochs, EPOCH_COLUMNS))


def typed(rows: list[dict[str, Any]], columns: Mapping[str, Column], knobs: Collection[str] = ()) -> pd.DataFrame:
    """A documented frame of the rows, with the columns in their order and of their types, then the knobs."""
    types: Any = {name: column.dtype for name, column in columns.items() if column.dtype}
    return _documented(pd.DataFrame(rows).reindex(columns=[*columns, *knobs]).astype(types), columns)


def together(tables: Mapping[str, Frames]) -> Frames:
    """The frames of several experiments one below the other, with a first column `experiment` that tells them apart."""
    first = {"experiment": Column("", "which of the experiments that were loaded together")}
    both = []
    for kind, known in (("trials", TRIAL_COLUMNS | COST_COLUMNS), ("epochs", EPOCH_COLUMNS)):
        own = [getattr(each, kind).assign(experiment=label) for label, each in tables.items()]
        whole = pd.concat(own, ignore_index=True)
        whole = whole[["experiment", *(name for name in whole if name != "experiment")]]
        both.append(_documented(whole, first | known))
    return Frames(*both)


def _documented(frame: pd.DataFrame, known: Mapping[str, Column]) -> pd.DataFrame:
    columns = {str(name): known.get(str(name), PARAMETER) for name in frame}
    frame.attrs["columns"] = {name: {"unit": each.unit, "meaning": each.meaning} for name, each in columns.items()}
    return frame


def export(tables: Frames, folder: Path, formats: Collection[str] = ("csv",)) -> list[Path]:
    """Write trials and epochs in each of the `formats` ("csv", "parquet"); return the files.

    columns.csv explains the columns of both; Parquet files also carry that in their pandas attributes, and keep types.
    """
    files, documented = [], []
    for name, table in (("trials", tables.trials), ("epochs", tables.epochs)):
        if "csv" in formats:
            files.append(folder / f"{name}.csv")
            write_csv(files[-1], table)
        if "parquet" in formats:
            files.append(folder / f"{name}.parquet")
            write_file(files[-1], table.to_parquet(index=False))
        documented += [{"table": name, "column": column, **about} for column, about in table.attrs["columns"].items()]
    files.append(folder / "columns.csv")
    write_csv(files[-1], pd.DataFrame(documented))
    return files
