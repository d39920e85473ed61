"""Bootstrap intervals of test scores, of one model or of differences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95


class Interval(NamedTuple):
    """A score recomputed from the predictions, and the percentile interval around it; all shares of 1."""

    value: float
    low: float
    high: float


class PhotoScores(NamedTuple):
    """Accuracy and macro F1 with their intervals, over `photos` photos."""

    accuracy: Interval
    macro_f1: Interval
    photos: int


def score_test(predictions: pd.DataFrame, resamples: int = RESAMPLES, seed: int = SEED) -> PhotoScores:
    """Scores of `predictions` (columns family, predicted), and 95 % percentile intervals; see `resample`."""
    exact, drawn = resample(predictions["family"], [predictions["predicted"]], resamples, seed)
    accuracy, macro = (interval(exact[0, which], drawn[:, 0, which]) for which in (0, 1))
    return PhotoScores(accuracy, macro, len(predictions))


def interval(value: float, drawn: np.ndarray, level: float = LEVEL) -> Interval:
    """The percentile interval that holds `level` of the values `drawn`."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def resample(
    families: pd.Series, guesses: Sequence[pd.Series], resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and macro F1 of each model's `guesses`: exact [models, 2] and drawn [resamples, models, 2], shares of 1.

    Photos are drawn again within each family, the same ones for every model: the test split is stratified, and a family
    that drops out of a resample by chance would pull macro F1 down. Macro F1 averages over the families that have test
    photos. See Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3. With a handful of photos a
    family the interval is a little narrow: in simulated long-tailed test sets it held the true macro F1 88 to 93 times
    in 100.
    """
    names = sorted({*families, *(name for guess in guesses for name in guess)})
    code = {name: position for position, name in enumerate(names)}
    truth = families.map(code).to_numpy(int)
    order = np.argsort(truth, kind="stable")
    truth, coded = truth[order], [guess.map(code).to_numpy(int)[order] for guess in guesses]
    # Sorted, a family is a run of positions from `start` on, `size` long: draw with replacement from its own run.
    _, start, size = np.unique(truth, return_index=True, return_counts=True)
    within = np.random.default_rng(seed).random((resamples, len(truth))) * np.repeat(size, size)
    draws = np.repeat(start, size) + within.astype(int)
    drawn = [[_scores(truth, guess[draw], len(names)) for guess in coded] for draw in draws]
    exact = [_scores(truth, guess, len(names)) for guess in coded]
    return np.array(exact), np.array(drawn)


def _scores(truth: np.ndarray, guess: np.ndarray, classes: int) -> tuple[float, float]:
    """Accuracy, and macro F1 over the classes that occur in `truth`."""
    hits = truth == guess
    true_positive = np.bincount(truth[hits], minlength=classes)
    actual = np.bincount(truth, minlength=classes)
    f1 = 2 * true_positive / np.maximum(actual + np.bincount(guess, minlength=classes), 1)
    return float(hits.mean()), float(f1[actual > 0].mean())
