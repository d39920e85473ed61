"""Readers of an experiment's records, with one-line errors."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from search.records import Experiment, FinalRecord, read_experiment
from trainables.errors import UserError
from trainables.files.experiment import EPOCHS_FILE, METRICS_FILE, SWEEP_FILE, trial_folder

_NEEDED = ("name", "metric", "mode", "space", "dataset")
_TEXT = {"stage", "split", "photo_id", "source", "group", "family", "predicted", "oversampled"}
_TABLES = {
    "history": {"epoch"},
    "predictions": {"stage", "split", "family", "predicted", "probability"},
    "families": {"family", "val_f1_before", "val_f1_after", "test_f1_before", "test_f1_after"},
}


def read(folder: Path | str) -> Experiment:
    """Read the records of a sweep.

    Raises:
        UserError: the folder holds no sweep, or one of its records is damaged.
    """
    try:
        experiment = read_experiment(folder)
        missing = [key for key in _NEEDED if key not in experiment.sweep]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        # A person has edited a record, or the disk lost a part of it: any parser may be the one that stumbles.
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"a record in {folder} is damaged ({what}); restore it, or run the sweep again") from None
    for line in lost_epochs(experiment):
        print(f"warning: {line}", file=sys.stderr)
    if missing:
        raise UserError(f"{Path(folder) / SWEEP_FILE} lacks {missing[0]!r}, which `python -m search run` writes")
    return experiment


def lost_epochs(experiment: Experiment) -> list[str]:
    """A line for each trial that has ended and whose log lacks epochs that the study holds."""
    lines = []
    for trial in experiment.trials:
        lost = sorted(trial.values.keys() - {epoch["epoch"] for epoch in trial.epochs}) if trial.ended else []
        if lost:
            file = trial_folder(experiment.folder, trial.number) / EPOCHS_FILE
            lines.append(f"{file} has lost epochs {', '.join(map(str, lost))}; only their objective is known")
    return lines


@dataclass(frozen=True)
class FinalStage:
    """metrics.json, and the tables with numbers as numbers (empty where the file is not there)."""

    metrics: dict[str, Any]
    history: pd.DataFrame
    predictions: pd.DataFrame
    families: pd.DataFrame

    @property
    def chosen(self) -> str:
        """The stage whose model was handed over: "before" or "after" oversampling, "ensemble" or "probe"."""
        return str(self.metrics.get("chosen") or "before")

    @property
    def tested(self) -> str:
        """The stage whose test figures are quoted: "refit", the chosen model's last fit, where it was tested."""
        return "refit" if self.metrics["stages"].get("refit") else self.chosen

    @property
    def oversampled(self) -> bool:
        """Whether there was a second training, with copies of the weak families' photos."""
        return bool(self.metrics["stages"].get("after"))

    @property
    def trial_chosen(self) -> str:
        """The trial's own stage that was chosen, handed over or not."""
        return str(self.metrics.get("trial_chosen") or self.chosen)

    @property
    def test_predictions(self) -> pd.DataFrame:
        """The handed-over model's predictions of the test photos, or those of the model before its last fit."""
        return self.predictions_of(self.tested)

    def predictions_of(self, stage: str) -> pd.DataFrame:
        """A stage's predictions of the test photos."""
        if self.predictions.empty:
            return self.predictions
        own = (self.predictions["stage"] == stage) & (self.predictions["split"] == "test")
        return self.predictions[own].reset_index(drop=True)

    def figures(self, stage: str, split: str) -> dict[str, float]:
        """accuracy, loss, cross_entropy and macro_f1 of a stage on a split; empty when it was not evaluated."""
        return (self.metrics["stages"].get(stage) or {}).get(split) or {}


def final_stage(record: FinalRecord) -> FinalStage:
    """Type the tables.

    Raises:
        UserError: metrics.json has no scores, a table lacks a column, or has text where a number must be.
    """
    if not isinstance(record.metrics.get("stages"), dict):
        raise UserError(
            f"{record.folder / METRICS_FILE} has no 'stages'; `python -m trainables retrain` writes it again"
        )
    tables = {}
    for name, needed in _TABLES.items():
        file, table = record.folder / f"{name}.csv", pd.DataFrame(list(getattr(record, name)))
        if len(table) and (missing := sorted(needed - set(table))):
            raise UserError(f"{file} has no column {missing[0]!r}; `retrain` writes it again")
        if "oversampled" in table:
            table["oversampled"] = table["oversampled"].str.lower() == "true"
        for column in table.columns.difference([*_TEXT]):
            try:
                table[column] = pd.to_numeric(table[column].replace("", None)).astype(float)
            except (ValueError, TypeError):
                raise UserError(f"{file}: {column} must hold numbers; `retrain` writes it again") from None
        tables[name] = table
    return FinalStage(record.metrics, **tables)
