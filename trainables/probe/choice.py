"""Choice of the probe's depths, classifier and strength: all runs of depths cheaply, then the best with care.

Photos that were not fitted on decide, by macro F1, ties by cross-entropy.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.device import usable_cores
from trainables.probe.fits import Linear, discriminant, log_softmax, logistic_path
from trainables.probe.solution import Floats
from trainables.training.fine_tune import Metrics, macro_f1

Ints = npt.NDArray[np.int64]
Classifier = Literal["logistic regression", "discriminant analysis"]
ClassWeight = Literal["balanced", "none"]

LOGISTIC: Classifier = "logistic regression"
DISCRIMINANT: Classifier = "discriminant analysis"
FINALISTS = 3
STRENGTHS = (30.0, 300.0, 3000.0)  # C times the number of features: the sum of their squares grows with it
SHRINKAGES = (0.3, 0.6, 0.9)
RANKING_SHRINKAGE = 0.9
MOST_RANKED = 4000  # photos that rank the depths: every two of them have a number at every depth
_MOST_THREADS = 4  # each needs a few such tables


class Tried(NamedTuple):
    """A choice that was tried; `strength` is C of logistic regression, the shrinkage of discriminant analysis."""

    depths: tuple[str, ...]
    classifier: Classifier
    strength: float
    class_weight: ClassWeight
    macro_f1: float
    cross_entropy: float

    def better_than(self, other: "Tried | None") -> bool:
        """Whether this one is chosen before the other."""
        return other is None or (self.macro_f1, -self.cross_entropy) > (other.macro_f1, -other.cross_entropy)


class Parting(NamedTuple):
    """Rows to fit on and rows to judge by."""

    fit: Ints
    judged: Ints


@dataclass(frozen=True)
class Features:
    """Standardised pooled features of photos by depth, float32 [n, channels] each, in the backbone's order."""

    depths: dict[str, Floats]
    labels: Ints
    classes: int

    def at(self, depths: Sequence[str], rows: Ints) -> Floats:
        """Features of some photos at some depths, side by side."""
        return np.concatenate([self.depths[depth][rows] for depth in depths], axis=1)

    def width(self, depths: Sequence[str]) -> int:
        """How many features these depths have."""
        return sum(self.depths[depth].shape[1] for depth in depths)


def judge(labels: Ints, logits: npt.NDArray[np.floating]) -> Metrics:
    """Figures of logits [n, classes]; the loss is the cross-entropy, as nothing is penalised here."""
    entropy = float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())
    predicted = logits.argmax(axis=1)
    accuracy = float(np.mean(predicted == labels))
    return Metrics(loss=entropy, cross_entropy=entropy, accuracy=accuracy, macro_f1=macro_f1(labels, predicted))


def choose(
    features: Features, partings: Sequence[Parting], class_weight: ClassWeight, say: Callable[[str], None]
) -> tuple[Tried, list[Tried]]:
    """The best choice, and all that were tried, in that order."""
    tried = rank(features, partings, class_weight)
    finalists = sorted(tried, key=lambda one: (-one.macro_f1, one.cross_entropy))[:FINALISTS]
    say(
        f"ranked {len(tried)} runs of depths by discriminant analysis: "
        + "; ".join(f"{words(one.depths)} {one.macro_f1:.1%}" for one in finalists)
    )
    best: Tried | None = None
    for finalist in finalists:
        rows = list(candidates(features, partings, finalist.depths, class_weight))
        here = rows[0]
        for row in rows:
            here = row if row.better_than(here) else here
        say(f"{words(here.depths)}: {here.classifier}, {strength_words(here)}: macro F1 {here.macro_f1:.1%}")
        best = here if here.better_than(best) else best
        tried += rows
    assert best is not None
    return best, tried


def rank(features: Features, partings: Sequence[Parting], class_weight: ClassWeight) -> list[Tried]:
    """Judge every run of consecutive depths by discriminant analysis, on at most `MOST_RANKED` photos."""
    from threadpoolctl import threadpool_limits

    some, partings = _thinned(len(features.labels), partings)
    labels = features.labels[some]
    grams = [values[some] @ values[some].T for values in features.depths.values()]
    names = list(features.depths)
    runs = [(first, last) for last in range(len(names)) for first in range(last + 1)]

    def judged(run: tuple[int, int]) -> Tried:
        depths = tuple(names[run[0] : run[1] + 1])
        logits = []
        for fit, others in partings:
            gram = sum(each[np.ix_(fit, fit)] for each in grams[run[0] : run[1] + 1])
            across = sum(each[np.ix_(others, fit)] for each in grams[run[0] : run[1] + 1])
            dual, bias = discriminant(
                gram,
                labels[fit],
                features.classes,
                features.width(depths),
                class_weight == "balanced",
                RANKING_SHRINKAGE,
            )
            logits.append(across @ dual + bias)
        metrics = judge(labels[np.concatenate([others for _, others in partings])], np.concatenate(logits))
        return Tried(depths, DISCRIMINANT, RANKING_SHRINKAGE, class_weight, metrics.macro_f1, metrics.cross_entropy)

    # A core for each run: the products are too small to be shared.
    with threadpool_limits(1), ThreadPoolExecutor(min(usable_cores(), _MOST_THREADS)) as pool:
        return list(pool.map(judged, runs))


def candidates(
    features: Features, partings: Sequence[Parting], depths: tuple[str, ...], class_weight: ClassWeight
) -> Iterator[Tried]:
    """Judge both classifiers at all strengths."""
    balanced = class_weight == "balanced"
    strengths = [strength / features.width(depths) for strength in STRENGTHS]
    logits: dict[tuple[Classifier, float], list[Floats]] = {}
    for fit, others in partings:
        known, asked = features.at(depths, fit), features.at(depths, others)
        for strength, linear in zip(
            strengths, logistic_path(known, features.labels[fit], features.classes, balanced, strengths), strict=True
        ):
            logits.setdefault((LOGISTIC, strength), []).append(asked @ linear.kernel + linear.bias)
    labels = features.labels[np.concatenate([others for _, others in partings])]
    for (classifier, strength), parts in logits.items():
        metrics = judge(labels, np.concatenate(parts))
        yield Tried(depths, classifier, strength, class_weight, metrics.macro_f1, metrics.cross_entropy)


def fit(features: Features, rows: Ints, choice: Tried) -> Linear:
    """Fit the choice on some photos."""
    known, balanced = features.at(choice.depths, rows), choice.class_weight == "balanced"
    labels = features.labels[rows]
    if choice.classifier == LOGISTIC:
        [linear] = logistic_path(known, labels, features.classes, balanced, [choice.strength])
        return linear
    dual, bias = discriminant(known @ known.T, labels, features.classes, known.shape[1], balanced, choice.strength)
    return Linear(known.T @ dual, bias)


def words(depths: Sequence[str]) -> str:
    """A run of depths, such as "mixed7 to mixed10"."""
    return depths[0] if len(depths) == 1 else f"{depths[0]} to {depths[-1]}"


def strength_words(tried: Tried) -> str:
    """The strength with its name, such as "C 0.03"."""
    return f"{'C' if tried.classifier == LOGISTIC else 'shrinkage'} {tried.strength:.3g}"


def _thinned(photos: int, partings: Sequence[Parting]) -> tuple[Ints, list[Parting]]:
    """At most `MOST_RANKED` of the photos, and the partings by their places among them."""
    if photos <= MOST_RANKED:
        return np.arange(photos), list(partings)
    some = np.sort(np.random.default_rng(0).choice(photos, MOST_RANKED, replace=False))
    place = np.full(photos, -1)
    place[some] = np.arange(len(some))
    return some, [Parting(*(kept[kept >= 0] for kept in (place[rows] for rows in parting))) for parting in partings]
