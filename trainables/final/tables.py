"""The final stage's tables: history.csv, predictions.csv, families.csv."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from trainables.data.dataset import SPLITS, Dataset
from trainables.files.experiment import FAMILIES_FILE, HISTORY_FILE, PREDICTIONS_FILE
from trainables.files.output import write_rows
from trainables.final.outcome import Outcome
from trainables.training.fine_tune import family_f1

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
    predictions: list[list[object]] = []
    for stage in outcome.stages:
        for split, evaluation in (("validation", stage.validation), ("test", outcome.test[stage.name])):
            for photo, row in zip(dataset.photos(split), evaluation.probabilities, strict=True):
                guess = int(row.argmax())
                names = (photo.photo_id, photo.source, photo.family, dataset.class_names[guess])
                predictions.append([stage.name, split, *names, f"{row[guess]:.6f}", f"{row[photo.label]:.6f}"])
    write_rows(folder / HISTORY_FILE, ("stage", *columns), history)
    write_rows(folder / PREDICTIONS_FILE, PREDICTIONS, predictions)
    write_rows(folder / FAMILIES_FILE, FAMILIES, _families(outcome, dataset))


def _families(outcome: Outcome, dataset: Dataset) -> Iterator[list[object]]:
    classes, kept = len(dataset.class_names), outcome.choice[0].name
    stages = {stage.name: stage for stage in outcome.stages}
    scores: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
    for split in ("validation", "test"):
        labels = np.array([photo.label for photo in dataset.photos(split)])
        for name in ("before", "after"):
            scores[split, name] = np.full(classes, np.nan)
            if name in stages:
                evaluation = stages[name].validation if split == "validation" else outcome.test[name]
                scores[split, name] = family_f1(labels, evaluation.probabilities.argmax(axis=1), classes)
    # `labels` are now those of test.
    predicted = outcome.test[kept].probabilities.argmax(axis=1)
    precision, recall, _, photos = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(classes), average=None, zero_division=0.0
    )
    columns = [*scores.values(), *(np.where(photos > 0, column, np.nan) for column in (precision, recall))]
    for label, family in enumerate(dataset.class_names):
        counts = [dataset.manifest.counts[split].get(family, 0) for split in SPLITS]
        numbers = ["" if np.isnan(column[label]) else f"{column[label]:.6f}" for column in columns]
        yield [family, *counts, str(label in outcome.oversampled).lower(), *numbers]
