"""The final stage's records as typed tables."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from search.records import FinalRecord, Row
from trainables.errors import UserError
from trainables.files.experiment import METRICS_FILE

STAGES = ("before", "after")
_TEXT = {"stage", "split", "photo_id", "source", "family", "predicted"}
_NEEDED = {
    "history": {"epoch"},
    "predictions": {"stage", "split", "family", "predicted", "probability"},
    "families": {"family", "val_f1_before", "val_f1_after", "test_f1_before", "test_f1_after"},
}


@dataclass(frozen=True)
class FinalStage:
    """metrics.json, and the tables with numbers as numbers (empty where the file is not there)."""

    metrics: dict[str, Any]
    history: pd.DataFrame
    predictions: pd.DataFrame
    families: pd.DataFrame

    @property
    def chosen(self) -> str:
        """The stage whose model was kept: "before" or "after" oversampling."""
        return str(self.metrics.get("chosen") or "before")

    @property
    def test_predictions(self) -> pd.DataFrame:
        """The kept model's predictions of the test photos."""
        if self.predictions.empty:
            return self.predictions
        own = (self.predictions["stage"] == self.chosen) & (self.predictions["split"] == "test")
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
    return FinalStage(
        record.metrics,
        _table(record, "history", record.history),
        _table(record, "predictions", record.predictions),
        _table(record, "families", record.families),
    )


def _table(record: FinalRecord, name: str, rows: tuple[Row, ...]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows))
    if table.empty:
        return table
    missing = sorted(_NEEDED[name] - set(table))
    if missing:
        raise UserError(f"{record.folder / f'{name}.csv'} has no column {missing[0]!r}; `retrain` writes it again")
    if "oversampled" in table:
        table["oversampled"] = table["oversampled"].str.lower() == "true"
    for column in table.columns.difference([*_TEXT, "oversampled"]):
        try:
            table[column] = pd.to_numeric(table[column].replace("", None)).astype(float)
        except (ValueError, TypeError):
            file = record.folder / f"{name}.csv"
            raise UserError(f"{file}: {column} must hold numbers; `retrain` writes it again") from None
    return table
