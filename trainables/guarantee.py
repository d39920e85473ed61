"""Answers with a guarantee: temperature, sets of families and "unknown", fitted on held-out logits.

One temperature makes the probabilities honest (Guo et al. 2017, "On Calibration of Modern Neural Networks"). A set of
families holds the right one at least as often as is asked (split conformal prediction: Vovk et al. 2005; Angelopoulos
and Bates 2023, section 1). That holds on average over photos, so common families decide it; its score is therefore the
probability over the family's share of the training photos, which keeps rare families in the set (Ding, Fermanian and
Salmon 2025, "Conformal Prediction for Long-Tailed Classification", arXiv 2507.06867). A photo is unknown where the
evidence for all families together is small for what the network sees in it: the energy of its logits (Liu et al. 2020,
"Energy-based Out-of-distribution Detection") over a root of the length of the features that they are made of, which is
large for photos unlike all others. tests/benchmarks/bench_sets.py measures this.

Both promises are of new photos of the same kind as the held-out ones, on which the model was not trained.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from trainables.intervals import Interval, share_of_groups

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

COVERAGE = 0.9  # of the sets whose figures are reported; `predict` takes any
FALSE_ALARMS = 0.05  # at most this share of photos of the model's own families is called unknown
RARE = 40  # photos: the figures of families with fewer are given by themselves
BINS = 10
_WIDTH = 1.0  # deviation of log temperature before any photo is seen: a few photos, all right, prove no certainty
_HOTTEST = 50.0
POWER = 0.25  # of the features' length; with 0.5 to 1 more of other objects and fewer of other families are told


class Guarantee(BaseModel):
    """What was fitted on `photos` held-out photos.

    `temperature` divides the logits; `shares` are the families' shares of the training photos, by label; `scores` are
    the held-out photos' own, ascending, from which the set for any coverage follows. A photo whose `evidence` (with
    this `power`) is below `evidence_below` is unknown; `probability_below` is the same for the largest calibrated
    probability, which tells less well, for readers who have no logits. Both are None where the photos are too few.
    """

    model_config = ConfigDict(frozen=True)

    temperature: float = Field(gt=0)
    shares: tuple[float, ...]
    scores: tuple[float, ...]
    power: float = 0.0
    evidence_below: float | None
    probability_below: float | None
    false_alarms: float = FALSE_ALARMS

    @property
    def photos(self) -> int:
        """How many held-out photos it was fitted on."""
        return len(self.scores)

    def probabilities(self, logits: npt.NDArray[Any]) -> Floats:
        """Calibrated probabilities of logits, or of log probabilities, [n, families]."""
        return np.exp(_log_softmax(logits, self.temperature))

    def sets(self, probabilities: Floats, coverage: float) -> Bools:
        """Which families each photo's set holds, [n, families], from its calibrated probabilities.

        A set is never empty: the likeliest family is always in it, which only adds to the coverage. Where the held-out
        photos are too few for the coverage, a set holds all families.
        """
        rank = math.ceil((self.photos + 1) * coverage)
        limit = self.scores[rank - 1] if rank <= self.photos else math.inf
        held: Bools = misfit(probabilities, np.array(self.shares)) <= limit
        held[np.arange(len(held)), probabilities.argmax(axis=1)] = True
        return held

    def unknown(self, logits: npt.NDArray[Any], lengths: npt.NDArray[Any] | None) -> Bools:
        """Whether each photo is unlike all that the model was trained on, [n]; see `evidence`."""
        below = -math.inf if self.evidence_below is None else self.evidence_below
        return evidence(logits, lengths, self.power) < below


def fit_guarantee(
    logits: npt.NDArray[Any], labels: Ints, train_counts: Sequence[int], lengths: npt.NDArray[Any] | None = None
) -> Guarantee:
    """Fit on photos that the model was not trained on.

    Args:
        logits: [n, families], of n >= 1 photos.
        labels: int64 [n].
        train_counts: the training photos of each family.
        lengths: of the features that the last layer reads, [n]; None where they are not known.
    """
    power = 0.0 if lengths is None else POWER
    counts = np.maximum(np.asarray(train_counts, np.float64), 1)
    shares = counts / counts.sum()
    temperature = fit_temperature(logits, labels)
    probabilities = np.exp(_log_softmax(logits, temperature))
    own = misfit(probabilities, shares)[np.arange(len(labels)), labels]
    return Guarantee(
        temperature=temperature,
        shares=tuple(shares.tolist()),
        scores=tuple(np.sort(own).tolist()),
        power=power,
        evidence_below=_lowest(evidence(logits, lengths, power)),
        probability_below=_lowest(probabilities.max(axis=1)),
    )


def fit_temperature(logits: npt.NDArray[Any], labels: Ints) -> float:
    """The temperature with the smallest cross-entropy, and a weak preference for 1."""
    from scipy.optimize import minimize_scalar

    exact = np.asarray(logits, np.float64)

    def cost(log_temperature: float) -> float:
        found = _log_softmax(exact, math.exp(log_temperature))[np.arange(len(labels)), labels]
        return float(-found.sum() + (log_temperature / _WIDTH) ** 2 / 2)

    edge = math.log(_HOTTEST)
    return math.exp(minimize_scalar(cost, bounds=(-edge, edge), method="bounded").x)


def misfit(probabilities: Floats, shares: Floats) -> Floats:
    """How badly each family fits each photo, [n, families]: the log of its share over its probability."""
    return np.log(shares) - np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))


def evidence(logits: npt.NDArray[Any], lengths: npt.NDArray[Any] | None = None, power: float = 0.0) -> Floats:
    """How much in each photo speaks for any of the families, [n], positive.

    Args:
        logits: [n, families]; a number added to all of a photo's changes nothing.
        lengths: of the features that they are made of, [n]; not needed where `power` is 0.
    """
    from scipy.special import logsumexp

    exact = np.asarray(logits, np.float64)
    found: Floats = logsumexp(exact - exact.mean(axis=1, keepdims=True), axis=1)
    if power and lengths is not None:
        found = found / (1 + np.asarray(lengths, np.float64)) ** power  # Features of 0 are no evidence either.
    return found


def _lowest(values: Floats) -> float | None:
    """The value below which at most `FALSE_ALARMS` of new ones lie; None where there are too few to tell."""
    rank = math.floor((len(values) + 1) * FALSE_ALARMS)
    return float(np.sort(values)[rank - 1]) if rank else None


def _log_softmax(logits: npt.NDArray[Any], temperature: float) -> Floats:
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    found: Floats = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return found


class Figures(NamedTuple):
    """How a guarantee held on `photos` photos with known families, for sets of coverage `asked`; all shares of 1.

    `rare` is the coverage over the `rare_photos` photos of families with fewer than `RARE` photos, `size` the mean
    number of families in a set, `single` the share of sets with one. `error` is the expected calibration error and
    `error_before` that without the temperature; `alarms` is the share of photos called unknown.
    """

    photos: int
    asked: float
    coverage: Interval
    rare_photos: int
    rare: Interval
    size: float
    single: float
    error_before: float
    error: float
    alarms: float

    def as_json(self) -> dict[str, Any]:
        """The same with the intervals as dictionaries."""
        return {name: each._asdict() if isinstance(each, Interval) else each for name, each in self._asdict().items()}


def measure(
    guarantee: Guarantee,
    logits: npt.NDArray[Any],
    labels: Ints,
    rare: Bools,
    lengths: npt.NDArray[Any] | None = None,
    groups: npt.NDArray[Any] | None = None,
    coverage: float = COVERAGE,
) -> Figures:
    """Measure on other photos than it was fitted on.

    Args:
        logits: [n, families].
        labels: int64 [n].
        rare: whether each family has fewer than `RARE` photos, [families].
        lengths: see `evidence`.
        groups: what each photo belongs to, [n], for the intervals.
    """
    probabilities, plain = guarantee.probabilities(logits), np.exp(_log_softmax(logits, 1.0))
    sets, right = guarantee.sets(probabilities, coverage), logits.argmax(axis=1) == labels
    covered, few = sets[np.arange(len(labels)), labels], rare[labels]
    sizes = sets.sum(axis=1)
    return Figures(
        photos=len(labels),
        asked=coverage,
        coverage=share_of_groups(covered, groups),
        rare_photos=int(few.sum()),
        rare=share_of_groups(covered[few], None if groups is None else groups[few]),
        size=float(sizes.mean()),
        single=float((sizes == 1).mean()),
        error_before=calibration_error(plain.max(axis=1), right),
        error=calibration_error(probabilities.max(axis=1), right),
        alarms=float(guarantee.unknown(logits, lengths).mean()),
    )


def calibration_error(probability: Floats, right: Bools, bins: int = BINS) -> float:
    """The expected calibration error: the mean of |confidence − accuracy| over `bins` equal bins, weighted by photos.

    See Guo et al. 2017, equation 3. `probability` is that of each answer, [n], `right` whether it is right, [n].
    """
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gap = np.bincount(place, probability, bins) - np.bincount(place, right, bins)
    return float(np.abs(gap).sum() / len(right))
