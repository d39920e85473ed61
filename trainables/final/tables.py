"""The final stage's tables: history.csv, predictions.csv, families.csv."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from trainables.data.dataset import Dataset
from trainables.files.experiment import FAMILIES_FILE, HISTORY_FILE, PREDICTIONS_FILE
from trainables.files.output import write_rows
from trainables.training.metrics import Ints, family_f1

if TYPE_CHECKING:
    from trainables.final.outcome import Outcome

HISTORY = ("train_loss", "train_cross_entropy", "train_accuracy", "train_macro_f1")
VALIDATION = ("val_loss", "val_cross_entropy", "val_accuracy", "val_macro_f1")
PREDICTIONS = ("stage", "split", "photo_id", "source", "family", "predicted", "probability", "probability_true")
FAMILIES = (
    *("family", "train_photos", "validation_photos", "test_photos", "oversampled"),
    *("val_f1_before", "val_f1_after", "test_f1_before", "test_f1_after", "test_precision", "test_recall"),
)


def write_tables(outcome: Outcome, dataset: Dataset, folder: Path) -> None:
    """Write the three tables into `folder`. Scores are 0..1; empty where a family has no photo in the split."""
    columns = ("epoch", "learning_rate", *HISTORY, *VALIDATION, "epoch_seconds")
    history = [[stage.name, *(result[key] for key in columns)] for stage in outcome.stages for result in stage.history]
    write_rows(folder / HISTORY_FILE, ("stage", *columns), history)
    write_rows(folder / PREDICTIONS_FILE, PREDICTIONS, _predictions(outcome, dataset))
    write_rows(folder / FAMILIES_FILE, FAMILIES, _families(outcome, dataset))


def _predictions(outcome: Outcome, dataset: Dataset) -> Iterator[list[object]]:
    names = dataset.class_names
    for stage in outcome.stages:
        for split, evaluation in (("validation", stage.validation), ("test", outcome.test[stage.name])):
            for photo, row in zip(dataset.photos(split), evaluation.probabilities, strict=True):
                guess = int(row.argmax())
                shown = (f"{row[guess]:.6f}", f"{row[photo.label]:.6f}")
                yield [stage.name, split, photo.photo_id, photo.source, photo.family, names[guess], *shown]


def _families(outcome: Outcome, dataset: Dataset) -> Iterable[list[object]]:
    counts = dataset.manifest.counts
    scores = _scores(outcome, dataset)
    for label, family in enumerate(dataset.class_names):
        photos = [counts[split].get(family, 0) for split in ("train", "validation", "test")]
        numbers = ["" if np.isnan(column[label]) else f"{column[label]:.6f}" for column in scores]
        yield [family, *photos, str(label in outcome.oversampled).lower(), *numbers]


def _scores(outcome: Outcome, dataset: Dataset) -> list[npt.NDArray[np.float64]]:
    """The six score columns, each float64 [classes]; NaN where there is none."""
    classes = len(dataset.class_names)
    labels = {split: np.array([photo.label for photo in dataset.photos(split)]) for split in ("validation", "test")}
    nothing = np.full(classes, np.nan)
    columns = []
    for split in ("validation", "test"):
        for stage in (outcome.before, outcome.after):
            if stage is None:
                columns.append(nothing)
                continue
            evaluation = stage.validation if split == "validation" else outcome.test[stage.name]
            columns.append(family_f1(labels[split], evaluation.probabilities.argmax(axis=1), classes))
    predicted = outcome.test[outcome.chosen].probabilities.argmax(axis=1)
    return [*columns, *_precision_recall(labels["test"], predicted, classes)]


def _precision_recall(labels: Ints, predicted: Ints, classes: int) -> list[npt.NDArray[np.float64]]:
    precision, recall, _, _ = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(classes), average=None, zero_division=0.0
    )
    present = np.bincount(labels, minlength=classes) > 0
    return [np.where(present, column, np.nan) for column in (precision, recall)]
