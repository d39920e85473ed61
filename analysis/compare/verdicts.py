"""Verdicts of a comparison, in sentences."""

from collections.abc import Sequence

from analysis.compare.candidates import Candidate
from analysis.compare.differences import Difference, differences, seed_difference, seed_scores
from analysis.render.wording import (
    JOIN,
    count,
    is_share,
    join_words,
    metric_words,
    percent,
    plural,
    points,
    score,
    significant,
)


def verdicts(candidates: Sequence[Candidate]) -> list[str]:
    """Sentences, the most important first; what cannot be decided is named, with what to do about it."""
    return [*_models(candidates), *_sweeps(candidates), *_seeds(candidates), *_conditions(candidates)]


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
        f"{said}. Both were judged on the same {photos}: {label} alone names {count(difference.only_other)} right, "
        f"{first} alone {count(difference.only_first)}."
    )


def _models(candidates: Sequence[Candidate]) -> list[str]:
    found = differences(candidates)
    said = [model_verdict(difference) for difference in found]
    if len(found) > 1:
        said.append("These intervals are wide enough to hold all at once 95 times in 100.")
    missing = [candidate.label for candidate in candidates if not len(candidate.test)]
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


def _seeds(candidates: Sequence[Candidate]) -> list[str]:
    groups = [(join_words(list(group.labels), 4), group) for group in seed_scores(candidates)]
    metric = next((each.data.metric for each in candidates if each.data is not None), "")
    said = []
    for name, group in groups:
        mean, low, high = (score(value, metric) for value in group.mean)
        said.append(
            f"{name} differ in nothing but the seed: best {metric_words(metric)} {mean} on average over "
            f"{len(group.values)} seeds (95 % interval {low}{JOIN}–{JOIN}{high})."
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
