"""Choice of the probe's depths and strength: runs of depths cheaply, then the best with care.

Photos that were not fitted on decide, by macro F1, ties by cross-entropy.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from trainables.data.folds import Parting
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
RANKING_SHRINKAGE = 0.9
MOST_RANKED = 2500  # photos that rank the depths: every two of them have a number at every depth
_MOST_THREADS = 4  # each needs a few such tables


class Tried(NamedTuple):
    """A choice that was tried; `strength` is C of logistic regression, the shrinkage of discriminant analysis."""

    depths: tuple[str, ...]
    classifier: Classifier
    strength: float
    class_weight: ClassWeight
    macro_f1: float
    cross_entropy: float


class Judged(NamedTuple):
    """A choice that was tried, and its fit on the photos of the last parting."""

    tried: Tried
    linear: Linear


@dataclass(frozen=True)
class Features:
    """Standardised pooled features of photos by depth, float32 [n, channels] each, in the backbone's order."""

    depths: dict[str, Floats]
    labels: Ints
    classes: int

    def at(self, depths: Sequence[str], rows: Ints) -> list[Floats]:
        """Features of some photos at some depths, a table for each; rows that follow each other are not copied."""
        follow = len(rows) > 0 and bool((np.diff(rows) == 1).all())
        chosen = slice(int(rows[0]), int(rows[-1]) + 1) if follow else rows
        return [self.depths[depth][chosen] for depth in depths]

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
) -> tuple[Judged, list[Tried]]:
    """The best choice, and all that were tried, in that order."""
    tried = rank(features, partings, class_weight)
    finalists = sorted(tried, key=_order)[:FINALISTS]
    say(
        f"ranked {len(tried)} runs of depths by discriminant analysis: "
        + "; ".join(f"{words(one.depths)} {one.macro_f1:.1%}" for one in finalists)
    )

    def judged(finalist: Tried) -> list[Judged]:
        found = candidates(features, partings, finalist.depths, class_weight)
        return sorted(found, key=lambda row: _order(row.tried))

    fitted: list[Judged] = []
    with threadpool_limits(1), _threads() as pool:
        for rows in pool.map(judged, finalists):
            best = rows[0].tried
            say(f"{words(best.depths)}: {best.classifier}, C {best.strength:.3g}: macro F1 {best.macro_f1:.1%}")
            fitted += rows
    return min(fitted, key=lambda row: _order(row.tried)), tried + [row.tried for row in fitted]


def rank(features: Features, partings: Sequence[Parting], class_weight: ClassWeight) -> list[Tried]:
    """Judge each depth, and every run of consecutive depths around the best, by discriminant analysis.

    On at most `MOST_RANKED` photos.
    """
    some, partings = _thinned(len(features.labels), partings)
    labels, names = features.labels[some], list(features.depths)
    known = np.unique(np.concatenate([fit for fit, _ in partings]))  # A holdout's own are not among them.
    column = np.searchsorted(known, np.arange(len(some)))
    # Sums from the first depth to each: the inner products of a run are the difference of two.
    sums: list[Floats] = [np.zeros((len(some), len(known)), np.float32)]
    for values in features.depths.values():
        sums.append(sums[-1] + values[some] @ values[some[known]].T)

    def judged(run: tuple[int, int]) -> Tried:
        depths = tuple(names[run[0] : run[1] + 1])
        products, logits = sums[run[1] + 1] - sums[run[0]], []
        for fit, others in partings:
            gram, balanced = products[np.ix_(fit, column[fit])], class_weight == "balanced"
            width, classes = features.width(depths), features.classes
            dual, bias = discriminant(gram, labels[fit], classes, width, balanced, RANKING_SHRINKAGE)
            logits.append(products[np.ix_(others, column[fit])] @ dual + bias)
        metrics = judge(labels[np.concatenate([others for _, others in partings])], np.concatenate(logits))
        return Tried(depths, DISCRIMINANT, RANKING_SHRINKAGE, class_weight, metrics.macro_f1, metrics.cross_entropy)

    with threadpool_limits(1), _threads() as pool:
        single = list(pool.map(judged, [(place, place) for place in range(len(names))]))
        best = sorted(single, key=_order)[0]
        around = names.index(best.depths[0])
        runs = [(first, last) for first in range(around + 1) for last in range(around, len(names)) if first < last]
        return single + list(pool.map(judged, runs))


def candidates(
    features: Features, partings: Sequence[Parting], depths: tuple[str, ...], class_weight: ClassWeight
) -> Iterator[Judged]:
    """Judge logistic regression at all strengths."""
    balanced = class_weight == "balanced"
    strengths = [strength / features.width(depths) for strength in STRENGTHS]
    logits: dict[float, list[Floats]] = {}
    linears: dict[float, Linear] = {}
    for fit, others in partings:
        known, asked = features.at(depths, fit), features.at(depths, others)
        for strength, linear in zip(
            strengths, logistic_path(known, features.labels[fit], features.classes, balanced, strengths), strict=True
        ):
            logits.setdefault(strength, []).append(linear.logits(asked))
            linears[strength] = linear
    labels = features.labels[np.concatenate([others for _, others in partings])]
    for strength, parts in logits.items():
        metrics = judge(labels, np.concatenate(parts))
        tried = Tried(depths, LOGISTIC, strength, class_weight, metrics.macro_f1, metrics.cross_entropy)
        yield Judged(tried, linears[strength])


def fit(features: Features, rows: Ints, choice: Tried) -> Linear:
    """Fit the choice, which is logistic regression, on some photos."""
    known, labels = features.at(choice.depths, rows), features.labels[rows]
    # By the way that the judged fit took: what the steps reach where nearly all is separable depends on the start.
    scaled = [strength / features.width(choice.depths) for strength in STRENGTHS]
    weaker = [strength for strength in scaled if strength < choice.strength]
    strengths = [*weaker, choice.strength]
    with threadpool_limits(1):
        *_, linear = logistic_path(known, labels, features.classes, choice.class_weight == "balanced", strengths)
    return linear


def words(depths: Sequence[str]) -> str:
    """A run of depths, such as "mixed7 to mixed10"."""
    return depths[0] if len(depths) == 1 else f"{depths[0]} to {depths[-1]}"


def _threads() -> ThreadPoolExecutor:
    """Threads for fits whose products of matrices keep to a core each, by `threadpool_limits(1)`.

    Shared among cores they are too small to gain: on two, scikit-learn's logistic regression takes twice as long.
    """
    return ThreadPoolExecutor(min(usable_cores(), _MOST_THREADS))


def _order(tried: Tried) -> tuple[float, float]:
    """The better, the smaller."""
    return -tried.macro_f1, tried.cross_entropy


def _thinned(photos: int, partings: Sequence[Parting]) -> tuple[Ints, list[Parting]]:
    """At most `MOST_RANKED` of the photos, and the partings by their places among them.

    A holdout keeps its photos, up to half of them all: those judge.
    """
    if photos <= MOST_RANKED:
        return np.arange(photos), list(partings)
    drawn = np.random.default_rng(0).permutation(photos)
    if len(partings) == 1:
        judges = np.isin(drawn, partings[0].judged)
        few = drawn[judges][: MOST_RANKED // 2]
        drawn = np.concatenate([few, drawn[~judges]])
    some = np.sort(drawn[:MOST_RANKED])
    place = np.full(photos, -1)
    place[some] = np.arange(len(some))
    return some, [Parting(*(kept[kept >= 0] for kept in (place[rows] for rows in parting))) for parting in partings]
