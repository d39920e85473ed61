"""Differences between final models and between sweeps, with intervals and verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from analysis.compare.candidates import Candidate
from analysis.data.report_data import groups_of
from analysis.render.wording import WJ, is_share, join_words, metric_words, percent, plural, points, score, significant
from trainables.intervals import LEVEL, RESAMPLES, SEED, Interval, around, resample

MOST_SETTINGS = 8  # named in one sentence


class Difference(NamedTuple):
    """A final model against the first one: shares of 1, positive where `label` is better.

    `paired`: both were judged on the same photos (`photos` of them), and each resample draws the same ones for both;
    `only_first` and `only_other` are then the photos that one of them alone names right. Otherwise each model's own
    photos are drawn, and `photos` is the smaller number. `level` is what the intervals hold.
    """

    first: str
    label: str
    macro_f1: Interval
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
    """Each final model against the first one, where both name the same families; empty without such a pair.

    With more than one comparison, intervals are widened so that all of them hold together 95 times in 100 (Bonferroni).
    """
    tested = [model for model in models if len(model.test)]
    first, others = tested[:1], [model for model in tested[1:] if _families(model) == _families(tested[0])]
    if not others:
        return []
    level = 1 - (1 - LEVEL) / len(others)
    return [difference((first[0].label, first[0].test), (other.label, other.test), level) for other in others]


def _families(model: Candidate) -> set[str]:
    """The families of its test photos, over which its macro F1 is the mean."""
    return {*model.test["family"]}


def other_families(models: Sequence[Candidate]) -> list[str]:
    """A sentence for each final model that names other families than the first one."""
    tested = [model for model in models if len(model.test)]
    said = []
    for other in tested[1:]:
        own, first = _families(other), _families(tested[0])
        if own != first:
            said.append(
                f"{other.label} names {plural(len(own), 'family', 'families')}, {tested[0].label} {len(first):,}, and "
                f"{len(own & first):,} are the same. Their scores are those of two different tasks, so neither is "
                "called better."
            )
    return said


def difference(first: tuple[str, pd.DataFrame], other: tuple[str, pd.DataFrame], level: float = LEVEL) -> Difference:
    """A model's label and test predictions against another's."""
    (first_label, first_test), (label, test) = first, other
    same = same_photos(first_test, test)
    if same is not None:
        family, mine, theirs = same["family"], same["predicted"], same["predicted_other"]
        guesses = [mine.to_numpy(), theirs.to_numpy()]
        exact, drawn = resample(family.to_numpy(), guesses, groups=groups_of(same))
        right, right_other = mine == family, theirs == family
        only = int((right & ~right_other).sum()), int((right_other & ~right).sum())
        photos = len(same)
    else:
        apart = [
            resample(
                each["family"].to_numpy(), [each["predicted"].to_numpy()], RESAMPLES, SEED + place, groups_of(each)
            )
            for place, each in enumerate((first_test, test))
        ]
        exact, drawn = (np.concatenate([one[which] for one in apart], axis=which) for which in (0, 1))
        only, photos = (0, 0), min(len(first_test), len(test))
    macro = around(exact[1, 1] - exact[0, 1], drawn[:, 1, 1] - drawn[:, 0, 1], level)
    return Difference(first_label, label, macro, same is not None, photos, *only, level)


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


def race(sweep: Candidate) -> pd.DataFrame | None:
    """The best objective so far against the epochs run by then, as the trials ended; None before there is a value."""
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
    return pd.DataFrame({"epochs": spent[known], "best": best.ffill()[known]})


def verdicts(candidates: Sequence[Candidate]) -> list[str]:
    """Sentences, the most important first; what cannot be decided is named, with what to do about it."""
    found = (_models, _sweeps, _settings, _seeds, _conditions)
    return [sentence for part in found for sentence in part(candidates)]


def model_verdict(difference: Difference) -> str:
    """One final model against the first."""
    first, label, macro = difference.first, difference.label, difference.macro_f1
    level = percent(difference.level, 0 if difference.level == 0.95 else 1)
    held = f"{level} interval {points(macro.low)} to {points(macro.high)}"
    if macro.low > 0:
        said = f"{label} is better than {first}: its test macro F1 is {points(macro.value)[1:]} points higher ({held})"
    elif macro.high < 0:
        said = f"{label} is worse than {first}: its test macro F1 is {points(-macro.value)[1:]} points lower ({held})"
    else:
        said = (
            f"{label} and {first} cannot be told apart: test macro F1 differs by {points(macro.value)} points ({held})"
        )
    photos = plural(difference.photos, "test photo")
    if not difference.paired:
        return (
            f"{said}. They were judged on different photos ({photos} or more), so only a large difference can be seen."
        )
    return (
        f"{said}. Both were judged on the same {photos}: {label} alone names {difference.only_other:,} right, "
        f"{first} alone {difference.only_first:,}."
    )


def _models(candidates: Sequence[Candidate]) -> list[str]:
    found = differences(candidates)
    said = [model_verdict(difference) for difference in found]
    if len(found) > 1:
        said.append("These intervals are wide enough to hold all at once 95 times in 100.")
    said += other_families(candidates)
    untested = [candidate.label for candidate in candidates if candidate.final is not None and not len(candidate.test)]
    if untested:
        said.append(f"{join_words(untested)}: no test photos, so nothing settles which final model is better.")
    missing = [candidate.label for candidate in candidates if candidate.final is None]
    if missing:
        have = "has" if len(missing) == 1 else "have"
        said.append(
            f"{join_words(missing)} {have} no final model. `python -m trainables retrain` makes one; "
            "only scores on test photos can settle which is better."
        )
    return said


def _sweeps(candidates: Sequence[Candidate]) -> list[str]:
    """Best validation scores without a verdict: each is the best of many on the photos that it was chosen by."""
    sweeps = [(each.label, each.data) for each in candidates if each.data is not None]
    if len(sweeps) < 2:
        return []
    metrics = {found.metric for _, found in sweeps}
    if len(metrics) > 1:
        return [f"The sweeps had different objectives ({join_words(sorted(metrics))}), so their best are not compared."]
    metric = metrics.pop()
    parts = [
        f"{label} {score(found.best_value, metric)} ({plural(int(found.frames.trials['epochs'].sum()), 'epoch')})"
        for label, found in sweeps
    ]
    note = "Each is the best of many on the photos it was chosen by, so it flatters, and the more trials the more."
    return [f"Best {metric_words(metric)} in the sweeps: {join_words(parts)}. {note}"]


def _settings(candidates: Sequence[Candidate]) -> list[str]:
    """What each sweep's file says otherwise than the first one's."""
    sweeps = [(each.label, flat(each.own_settings)) for each in candidates if each.data is not None]
    said = []
    for label, own in sweeps[1:]:
        first_label, first = sweeps[0]
        keys = [key for key in dict.fromkeys([*first, *own]) if first.get(key) != own.get(key)]
        parts = [f"{key} ({_value(own.get(key))} for {_value(first.get(key))})" for key in keys]
        if parts:  # Sweeps that differ in the seed alone are told of together.
            said.append(f"{label} differs from {first_label} in {join_words(parts, MOST_SETTINGS)}.")
    return said


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings by dotted keys, as `--set` takes them."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _value(value: object) -> str:
    """A setting in few characters; a fingerprint by its first ones."""
    text = "nothing" if value is None else str(value)
    return f"{text[:12]}…" if len(text) > 40 else text


def _seeds(candidates: Sequence[Candidate]) -> list[str]:
    groups = [(join_words(list(group.labels), 4), group) for group in seed_scores(candidates)]
    metric = next((each.data.metric for each in candidates if each.data is not None), "")
    said = []
    for name, group in groups:
        mean, low, high = (score(value, metric) for value in group.mean)
        said.append(
            f"{name} differ in nothing but the seed: best {metric_words(metric)} {mean} on average over "
            f"{len(group.values)} seeds (95 % interval {low}{WJ}–{WJ}{high})."
        )
    for name, other in groups[1:]:
        first, group = groups[0]
        gap = seed_difference(group, other)
        verdict = "a real difference" if gap.low > 0 or gap.high < 0 else "not told apart"
        value, low, high = (points(each) if is_share(metric) else significant(each) for each in gap)
        unit = " points" if is_share(metric) else ""
        said.append(f"{name} against {first}: {value}{unit} on average (95 % interval {low} to {high}), {verdict}.")
    return said


def _conditions(candidates: Sequence[Candidate]) -> list[str]:
    """What makes any verdict doubtful."""
    said = []
    if len({candidate.dataset for candidate in candidates if candidate.dataset}) > 1:
        said.append("Warning: the datasets differ, so what looks like a better model may be easier photos.")
    weights = [candidate.data.weights for candidate in candidates if candidate.data is not None]
    started = {str(each.get("kind") or each.get("requested") or "not recorded") for each in weights}
    if len(started) > 1:
        said.append(f"Warning: the backbones started from different weights ({join_words(sorted(started))}).")
    return said
