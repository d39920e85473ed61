"""The dataset that a final model was trained on, where it is still there."""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from trainables.data.dataset import Dataset, open_dataset
from trainables.files.experiment import METRICS_FILE
from trainables.files.record import read_record


class Origin(NamedTuple):
    """The dataset, and the splits whose photos the model was fitted on."""

    dataset: Dataset
    splits: tuple[str, ...]


class _Place(BaseModel):
    folder: str


class _LastFit(BaseModel):
    splits: tuple[str, ...]


class _Metrics(BaseModel):
    """What of metrics.json says which photos a model was trained on."""

    dataset: _Place
    refit: _LastFit | None = None


def origin_of(model: Path) -> Origin:
    """Open the dataset of a model, which is a final stage's folder or its model.keras.

    Raises:
        UserError: its metrics.json is not beside it or damaged, or the dataset is not on this machine.
    """
    folder = model if model.is_dir() else model.absolute().parent
    metrics = read_record(folder / METRICS_FILE, _Metrics, "the final stage writes it beside the model")
    return Origin(open_dataset(metrics.dataset.folder), metrics.refit.splits if metrics.refit else ("train",))
