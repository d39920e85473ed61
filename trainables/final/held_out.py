"""Guarantee of a final model: fitted on validation, measured on test."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trainables.data.dataset import Dataset
from trainables.guarantee import COVERAGE, RARE, Guarantee, fit_guarantee, measure


class Judged(Protocol):
    """What a model says of a split's photos: logits [n, families], and the lengths of its features, [n], or None."""

    @property
    def logits(self) -> npt.NDArray[Any]:
        """See Judged."""

    @property
    def lengths(self) -> npt.NDArray[Any] | None:
        """See Judged."""


COLUMNS = ("calibrated", "set_size", "covered", "unknown")


def guarantee_of(dataset: Dataset, validation: Judged) -> Guarantee:
    """The guarantee for a model from what it says of the validation photos, which it has not seen.

    A last fit on more photos takes it over: its own logits of validation photos would flatter it.
    """
    counts = [dataset.manifest.counts["train"].get(name, 0) for name in dataset.class_names]
    return fit_guarantee(validation.logits, _labels(dataset, "validation"), counts, validation.lengths)


def told(dataset: Dataset, guarantee: Guarantee, test: Judged | None) -> dict[str, Any]:
    """What metrics.json says of it: how it was fitted, and how it held on test, None without test photos."""
    counts = dataset.manifest.counts
    rare = np.array([sum(split.get(name, 0) for split in counts.values()) < RARE for name in dataset.class_names])
    groups = np.array([photo.group for photo in dataset.photos("test")])
    figures = None
    if test is not None:
        labels = _labels(dataset, "test")
        figures = measure(guarantee, test.logits, labels, rare, test.lengths, groups).as_json()
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


def sentence(held: dict[str, Any] | None) -> str:
    """How the guarantee held on test, for people; "" without one, or without test photos."""
    test = held and held["test"]
    if not held or not test:
        return ""
    rare = f", {test['rare']['value']:.1%} of families with fewer than {RARE} photos" if test["rare_photos"] else ""
    return (
        f"on test, sets of {held['coverage']:.0%} hold the right family for {test['coverage']['value']:.1%}{rare}, "
        f"with {test['size']:.2f} families on average; calibration error {test['error']:.1%} "
        f"({test['error_before']:.1%} without temperature); {test['alarms']:.1%} called unknown by mistake"
    )


def by_rank(dataset: Dataset, test: Judged | None) -> dict[str, Any] | None:
    """Scores at each rank of the taxonomy and the mistakes by rank, on test; None without ranks or test photos."""
    taxonomy = dataset.manifest.taxonomy
    if taxonomy is None or test is None:
        return None
    return taxonomy.scores(_labels(dataset, "test"), test.logits.argmax(axis=1))


def columns(guarantee: Guarantee, judged: Judged, labels: npt.NDArray[np.int64]) -> list[list[object]]:
    """The cells of `COLUMNS` in predictions.csv for each photo.

    `calibrated` is the probability of its likeliest family, `covered` whether its set of coverage `COVERAGE` holds the
    right one; yes is 1, no 0.
    """
    probabilities = guarantee.probabilities(judged.logits)
    sets, unknown = guarantee.sets(probabilities, COVERAGE), guarantee.unknown(judged.logits, judged.lengths)
    rows = zip(probabilities.max(axis=1), sets.sum(axis=1), sets[np.arange(len(labels)), labels], unknown, strict=True)
    return [[f"{sure:.6f}", int(size), int(covered), int(strange)] for sure, size, covered, strange in rows]


def _labels(dataset: Dataset, split: str) -> npt.NDArray[np.int64]:
    return np.array([photo.label for photo in dataset.photos(split)], np.int64)
