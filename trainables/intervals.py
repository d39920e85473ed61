"""Confidence intervals of test scores, of one model or of a difference between two."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
IMAGINARY = 4  # photos: z² of 95 %, as in Agresti and Coull's interval
WIDE = 0.2  # an interval of accuracy wider than this says little: fewer than some 90 photos

Names = npt.NDArray[Any]  # labels or names, [photos]
Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A score and the interval around it; all shares of 1."""

    value: float
    low: float
    high: float

    @property
    def wide(self) -> bool:
        """Whether it says little."""
        return self.high - self.low > WIDE


class Scores(NamedTuple):
    """Accuracy and macro F1 with their intervals, over `photos` photos."""

    accuracy: Interval
    macro_f1: Interval
    photos: int


def share(right: int, photos: int, level: float = LEVEL) -> Interval:
    """The share of `photos` that are right, with Wilson's interval; without photos it is NaN from 0 to 1."""
    from scipy.stats import binomtest

    if not photos:
        return Interval(float("nan"), 0.0, 1.0)
    found = binomtest(right, photos).proportion_ci(level, "wilson")
    return Interval(right / photos, float(found.low), float(found.high))


def scores(truth: Names, guess: Names, resamples: int = RESAMPLES, seed: int = SEED) -> Scores:
    """Score a model's answers, and give 95 % intervals: Wilson's of accuracy, of macro F1 see `resample`.

    Args:
        truth: families by label or name, [photos], at least one.
        guess: answers, [photos].
    """
    exact, drawn = resample(truth, [guess], resamples, seed)
    accuracy = share(int((truth == guess).sum()), len(truth))
    return Scores(accuracy, around(exact[0, 1], drawn[:, 0, 1]), len(truth))


def around(value: float, drawn: Floats, level: float = LEVEL) -> Interval:
    """The percentile interval that holds `level` of the values `drawn`, and the value itself."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), min(float(low), float(value)), max(float(high), float(value)))


def resample(
    truth: Names, guesses: Sequence[Names], resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[Floats, Floats]:
    """Accuracy and macro F1 of each model's `guesses`: exact [models, 2] and drawn [resamples, models, 2], shares of 1.

    Photos are drawn again within each family, the same ones for every model: the test split is stratified, and a family
    that drops out of a resample by chance would pull macro F1 down. Macro F1 averages over the families that have test
    photos. See Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.

    Were only photos drawn that exist, a model without a mistake would be certain to make none. So `IMAGINARY` photos
    are mixed in, half of them right, each model's for itself, as Agresti and Coull (1998) and Agresti and Min (2005)
    add them to the counts. For 12 photos of 3 families, all right, that gives 64 to 100 %. In simulated test sets of 12
    to 336 photos the interval held the true macro F1 88 to 100 times in 100, and without them 1 to 93 times.
    """
    names, positions = np.unique(np.concatenate([truth, *guesses]), return_inverse=True)
    truth, *coded = positions.reshape(1 + len(guesses), len(truth))
    order = np.argsort(truth, kind="stable")
    truth, coded = truth[order], [guess[order] for guess in coded]
    # Sorted, a family is a run of positions from `start` on, `size` long: draw with replacement from its own run.
    families, start, size = np.unique(truth, return_index=True, return_counts=True)
    random = np.random.default_rng(seed)
    within = random.random((resamples, len(truth))) * np.repeat(size, size)
    draws = np.repeat(start, size) + within.astype(int)
    imagined = random.random((resamples, len(truth))) < IMAGINARY / (len(truth) + IMAGINARY)
    drawn = np.empty((resamples, len(guesses), 2))
    for number, (draw, imaginary) in enumerate(zip(draws, imagined, strict=True)):
        for model, guess in enumerate(coded):
            answers = guess[draw]
            if places := int(imaginary.sum()):
                # A wrong answer is another family of the test photos; of one family alone, one that is none of them.
                others = random.integers(0, max(len(families) - 1, 1), places)
                wrong = families[np.minimum(others + (others >= truth[imaginary]), len(families) - 1)]
                wrong = np.where(wrong == truth[imaginary], len(names), wrong)
                answers[imaginary] = np.where(random.random(places) < 0.5, truth[imaginary], wrong)
            drawn[number, model] = _scores(truth, answers, len(names) + 1)
    exact = [_scores(truth, guess, len(names) + 1) for guess in coded]
    return np.array(exact), drawn


def _scores(truth: Names, guess: Names, classes: int) -> tuple[float, float]:
    """Accuracy, and macro F1 over the classes that occur in `truth`."""
    hits = truth == guess
    true_positive = np.bincount(truth[hits], minlength=classes)
    actual = np.bincount(truth, minlength=classes)
    f1 = 2 * true_positive / np.maximum(actual + np.bincount(guess, minlength=classes), 1)
    return float(hits.mean()), float(f1[actual > 0].mean())
