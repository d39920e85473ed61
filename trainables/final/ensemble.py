"""Ensemble: which trainings of one configuration answer together, chosen on validation, and what they say."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainables.inference.ensemble_model import joined_logits
from trainables.network.tail import State
from trainables.probe.choice import judge
from trainables.training.fine_tune import Evaluation, FineTuning, TrainingSet, macro_f1

Array = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
States = Sequence[tuple[State, float]]
"""The weights of each member, and its share in the mean; the shares add up to 1."""

MOST_PICKS = 20


def choose(labels: Ints, probabilities: Sequence[Array]) -> tuple[int, ...]:
    """How often each member is taken, by greedy selection with replacement.

    Caruana et al. 2004, "Ensemble Selection from Libraries of Models": at each step the one that makes the mean of
    probabilities best; of all steps, the best. Best is the highest macro F1, then the lowest cross-entropy, then the
    fewest picks and the earliest member.

    Args:
        labels: of the photos that judge, int64 [n].
        probabilities: of each member, [n, classes].
    """
    picks, kept = np.zeros(len(probabilities), np.int64), np.zeros(len(probabilities), np.int64)
    total, best = np.zeros_like(probabilities[0], dtype=np.float64), (math.inf, math.inf)
    for size in range(1, MOST_PICKS + 1):
        scores = [_order(labels, (total + each) / size) for each in probabilities]
        chosen = min(range(len(scores)), key=lambda member: scores[member])
        total += probabilities[chosen]
        picks[chosen] += 1
        if scores[chosen] < best:
            best, kept = scores[chosen], picks.copy()
    return tuple(int(count) for count in kept)


def joined(labels: Ints, evaluations: Sequence[Evaluation], shares: Sequence[float]) -> Evaluation:
    """The figures of the mean of members' probabilities, weighted by `shares`; its loss holds no penalty.

    One member alone keeps its own figures. Several have no features in common, and so no lengths of them.
    """
    taken = [(each, share) for each, share in zip(evaluations, shares, strict=True) if share]
    if len(taken) == 1:
        return taken[0][0]
    together = joined_logits([each.logits for each, _ in taken], [share / sum(shares) for _, share in taken])
    return Evaluation(judge(labels, together), np.asarray(together, np.float32))


def evaluate_together(run: FineTuning, photos: TrainingSet, states: States) -> Evaluation:
    """Evaluate members on photos as they are, one after the other in the run's tail, and join them."""
    found = []
    for state, _ in states:
        run.tail.load(state)
        found.append(run.evaluate(photos))
    return joined(photos.labels, found, [share for _, share in states])


def _order(labels: Ints, probabilities: Array) -> tuple[float, float]:
    """The better, the smaller."""
    right = probabilities[np.arange(len(labels)), labels]
    entropy = float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())
    return -macro_f1(labels, probabilities.argmax(axis=1)), round(entropy, 9)  # The mean of equals is not quite equal.
