"""Differences between final models and between sweeps, with their intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from analysis.compare.candidates import Candidate
from analysis.data.intervals import LEVEL, RESAMPLES, SEED, Interval, interval, resample


class Difference(NamedTuple):
    """A final model against the first one: shares of 1, positive where `label` is better.

    `paired`: both were judged on the same photos (`photos` of them), and each resample draws the same ones for both;
    `only_first` and `only_other` are then the photos that one of them alone names right. Otherwise each model's own
    photos are drawn, and `photos` is the smaller number. `level` is what the intervals hold.
    """

    first: str
    label: str
    macro_f1: Interval
    accuracy: Interval
    paired: bool
    photos: int
    only_first: int
    only_other: int
    level: float


class SeedScores(NamedTuple):
    """Sweeps that differ in nothing but the seed: `values` are their best objectives; `mean` has a t interval."""

    labels: tuple[str, ...]
    values: tuple[float, ...]
    mean: Interval


def differences(models: Sequence[Candidate]) -> list[Difference]:
    """Each final model against the first one; empty where fewer than two have test predictions.

    With more than one comparison, intervals are widened so that all of them hold together 95 times in 100 (Bonferroni).
    """
    tested = [model for model in models if len(model.test)]
    if len(tested) < 2:
        return []
    first, others = tested[0], tested[1:]
    level = 1 - (1 - LEVEL) / len(others)
    return [_difference(first, other, level) for other in others]


def _difference(first: Candidate, other: Candidate, level: float) -> Difference:
    same = same_photos(first.test, other.test)
    if same is not None:
        family, mine, theirs = same["family"], same["predicted"], same["predicted_other"]
        scores = resample(family, [mine, theirs])
        exact, drawn = scores.exact[1] - scores.exact[0], scores.drawn[:, 1] - scores.drawn[:, 0]
        right, right_other = mine == family, theirs == family
        only = int((right & ~right_other).sum()), int((right_other & ~right).sum())
        photos = len(same)
    else:
        apart = [
            resample(model.test["family"], [model.test["predicted"]], RESAMPLES, SEED + place)
            for place, model in enumerate((first, other))
        ]
        exact, drawn = apart[1].exact[0] - apart[0].exact[0], apart[1].drawn[:, 0] - apart[0].drawn[:, 0]
        only, photos = (0, 0), min(len(first.test), len(other.test))
    accuracy, macro = (interval(exact[which], drawn[:, which], level) for which in (0, 1))
    return Difference(first.label, other.label, macro, accuracy, same is not None, photos, *only, level)


def same_photos(first: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame | None:
    """family, predicted and predicted_other by photo, where both were judged on the very same photos; else None."""
    if "photo_id" not in first or "photo_id" not in other or len(first) != len(other):
        return None
    both = first.merge(other, on=["photo_id", "family"], suffixes=("", "_other"), validate="one_to_one")
    return both if len(both) == len(first) else None


def seed_scores(sweeps: Sequence[Candidate]) -> list[SeedScores]:
    """The groups of sweeps that differ in nothing but the seed, where a group has at least two; in their order."""
    groups: dict[str, list[Candidate]] = {}
    for sweep in sweeps:
        if sweep.data is not None and sweep.data.best_value is not None:
            groups.setdefault(sweep.settings, []).append(sweep)
    found = []
    for group in groups.values():
        if len(group) > 1:
            values = np.array([sweep.data.best_value for sweep in group if sweep.data is not None], float)
            mean, error = float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5
            reach = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
            labels = tuple(sweep.label for sweep in group)
            found.append(SeedScores(labels, tuple(values.tolist()), Interval(mean, mean - reach, mean + reach)))
    return found


def seed_difference(first: SeedScores, other: SeedScores) -> Interval:
    """`other` minus `first` in the mean best objective, with Welch's t interval."""
    value = other.mean.value - first.mean.value
    if max(np.ptp(first.values), np.ptp(other.values)) == 0:  # No spread to divide by.
        return Interval(value, value, value)
    low, high = stats.ttest_ind(other.values, first.values, equal_var=False).confidence_interval(LEVEL)
    return Interval(value, float(low), float(high))


class Race(NamedTuple):
    """The best objective so far of a sweep against the epochs it had run by then, in the order the trials ended."""

    label: str
    epochs: tuple[int, ...]
    best: tuple[float, ...]


def race(sweep: Candidate) -> Race | None:
    """A sweep's race; None before it has a value."""
    if sweep.data is None:
        return None
    trials = sweep.data.frames.trials
    ended = trials.assign(ended=trials["ended"].fillna("9999")).sort_values(["ended", "trial"])
    spent = ended["epochs"].astype(int).cumsum()
    values = ended["value"].astype(float)
    best = values.cummax() if sweep.data.mode == "max" else values.cummin()
    known = best.ffill().notna()
    if not known.any():
        return None
    return Race(sweep.label, tuple(spent[known].tolist()), tuple(best.ffill()[known].tolist()))
