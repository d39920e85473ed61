"""The contract's metrics, computed from predictions the same way everywhere."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

Ints = npt.NDArray[np.int64]


class Metrics(NamedTuple):
    """Figures of one split. `loss` includes L2 (and the class weights, while training); `cross_entropy` neither."""

    loss: float
    cross_entropy: float
    accuracy: float
    macro_f1: float


def macro_f1(labels: Ints, predicted: Ints) -> float:
    """Mean F1 over the families that have photos in `labels`, 0..1.

    A family kept in training only has no photo to be judged by in validation or test; counting it as 0 would put a
    ceiling under 1 on every model alike. A family with photos of which none is found counts 0.
    """
    families = np.unique(labels)
    return float(f1_score(labels, predicted, labels=families, average="macro", zero_division=0.0))


def family_f1(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """F1 of each of `classes` families, float64 [classes]; NaN for a family without photos in `labels`."""
    scores = f1_score(labels, predicted, labels=np.arange(classes), average=None, zero_division=0.0)
    return np.where(np.bincount(labels, minlength=classes) > 0, scores, np.nan)
