"""Guarantee of a final model: fitted on validation, measured on test."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.data.dataset import Dataset
from trainables.guarantee import COVERAGE, RARE, Guarantee, fit_guarantee, measure

Logits = npt.NDArray[Any]

COLUMNS = ("calibrated", "set_size", "covered", "unknown")


def guarantee_of(dataset: Dataset, validation: Logits) -> Guarantee:
    """The guarantee for a model with these logits of the validation photos, [n, families], which it has not seen.

    A last fit on more photos takes it over: its own logits of validation photos would flatter it.
    """
    counts = [dataset.manifest.counts["train"].get(name, 0) for name in dataset.class_names]
    return fit_guarantee(validation, _labels(dataset, "validation"), counts)


def told(dataset: Dataset, guarantee: Guarantee, test: Logits | None) -> dict[str, Any]:
    """What metrics.json says of it: how it was fitted, and how it held on test, None without test photos.

    Args:
        test: logits of the test photos, [n, families].
    """
    counts = dataset.manifest.counts
    rare = np.array([sum(split.get(name, 0) for split in counts.values()) < RARE for name in dataset.class_names])
    groups = np.array([photo.group for photo in dataset.photos("test")])
    figures = None if test is None else measure(guarantee, test, _labels(dataset, "test"), rare, groups).as_json()
    return {
        "fitted_on": "validation",
        "photos": guarantee.photos,
        "temperature": guarantee.temperature,
        "coverage": COVERAGE,
        "false_alarms": guarantee.false_alarms if guarantee.evidence_below is not None else None,
        "rare_below": RARE,
        "rare_families": int(rare.sum()),
        "test": figures,
    }


def columns(guarantee: Guarantee, logits: Logits, labels: npt.NDArray[np.int64]) -> list[list[object]]:
    """The cells of `COLUMNS` in predictions.csv for each photo.

    `calibrated` is the probability of its likeliest family, `covered` whether its set of coverage `COVERAGE` holds the
    right one; yes is 1, no 0.
    """
    probabilities = guarantee.probabilities(logits)
    sets, unknown = guarantee.sets(probabilities, COVERAGE), guarantee.unknown(logits)
    rows = zip(probabilities.max(axis=1), sets.sum(axis=1), sets[np.arange(len(labels)), labels], unknown, strict=True)
    return [[f"{sure:.6f}", int(size), int(covered), int(strange)] for sure, size, covered, strange in rows]


def _labels(dataset: Dataset, split: str) -> npt.NDArray[np.int64]:
    return np.array([photo.label for photo in dataset.photos(split)], np.int64)
