"""Class weights and logit offsets; checks for imbalance corrected twice.

How much a family counts is how often it is seen, times its weight, over its adjusted prior. Class weights and logit
adjustment that follow from what is trained on, copies included, take the copies back: oversampling then adds variety
and nothing else, which is what the reference study does when it recomputes its weights. Three ways are no longer one
correction:

* weights or priors worked out before copies were added: a family with two copies of each photo counts three times;
* effective-number weights worked out after that: the method means different photos, and takes each copy for one;
* copies of a family whose photos were copies already when the folder was prepared.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.data.dataset import Dataset
from trainables.data.options import NEAR_DUPLICATES

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

SLIGHT = 1.02
"""A family that counts less than this many times what is meant is not worth a sentence."""

# Photos that show the same picture, in the median over a family's pictures. Oversampling copies all of them; what
# looks alike by nature hangs together in one chain (eight of fourteen scanned nines), which moves the mean alone.
_COPIED = 2
_NAMED = 3

EFFECTIVE_NUMBER_BETA = 0.999


class Balance(NamedTuple):
    """Both float32 [classes]: `weights` multiply a photo's training loss, `logit_offsets` are added while training."""

    weights: npt.NDArray[np.float32]
    logit_offsets: npt.NDArray[np.float32]


def balance(method: str, counts: Ints) -> Balance:
    """Work out the correction for a training split with `counts[c]` photos of family c.

    `class_weights` is scikit-learn's "balanced" rule, n / (classes · n_c). `effective_number` follows Cui et al. 2019,
    "Class-Balanced Loss Based on Effective Number of Samples". `logit_adjustment` follows Menon et al. 2021 and Ren et
    al. 2020 (balanced softmax): the log of the prior is added to the logits while training. Weights average 1 over the
    photos, so that the learning rate means the same under every method. A family without photos gets weight 0.
    """
    photos = counts.astype(np.float64)
    present = photos > 0
    weights = np.ones_like(photos)
    offsets = np.zeros_like(photos)
    if method == "class_weights":
        weights = _inverse(photos)
    elif method == "effective_number":
        weights = _inverse((1 - EFFECTIVE_NUMBER_BETA**photos) / (1 - EFFECTIVE_NUMBER_BETA))
    elif method == "logit_adjustment":
        # A family that training never shows keeps the smallest prior seen: log 0 would make its logit -inf.
        offsets = np.log(np.where(present, photos, photos[present].min()) / photos.sum())
    elif method != "none":
        raise ValueError(f"imbalance must be class_weights, effective_number, logit_adjustment or none, not {method!r}")
    weights = np.where(present, weights, 0.0)
    weights *= photos.sum() / (weights * photos).sum()
    return Balance(weights.astype(np.float32), offsets.astype(np.float32))


def _inverse(values: Doubles) -> Doubles:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def double_corrections(
    dataset: Dataset, method: str, correction: Balance, trained: Ints, oversampled: Sequence[int] = ()
) -> list[str]:
    """A sentence for each way in which this training corrects the imbalance twice; none for a single correction.

    Args:
        method: `TrialConfig.imbalance`.
        correction: what the loss uses.
        trained: photos and copies of each family that an epoch shows, int64 [classes].
        oversampled: labels of the families of which copies were added after the split.
    """
    alike = photos_alike(dataset)
    factor = excess(method, correction, np.array([len(pictures) for pictures in alike]), trained)
    found = []
    if (factor >= SLIGHT).any():
        families = np.flatnonzero(factor >= SLIGHT)
        found.append(
            f"the imbalance is corrected twice: {method} does not know the copies of {_names(dataset, families)}, "
            f"which count up to {factor.max():.2f} times as much as it means; class_weights and logit_adjustment, "
            "worked out after the copies were added, take them into account"
        )
    again = [family for family in oversampled if np.median(alike[family] or [0]) >= _COPIED]
    if again:
        found.append(
            f"the imbalance may be corrected twice: most photos of {_names(dataset, again)} looked like copies of each "
            "other before the final stage added its own; if they are, prepare the folder again without them"
        )
    return found


def double_corrections_in_trials(dataset: Dataset, methods: Collection[str]) -> list[str]:
    """The same for the trials of a sweep over `methods`: they add no copies, but the folder may have held some."""
    method = "effective_number"  # The others follow from all that a trial shows, copies included.
    if method not in methods:
        return []
    trained = np.bincount([row.label for row in dataset.photos("train")], minlength=len(dataset.class_names))
    return double_corrections(dataset, method, balance(method, trained), trained)


def excess(method: str, correction: Balance, different: Ints, trained: Ints) -> Doubles:
    """How many times as much each family counts in the loss as `method` alone would make it count, float64 [classes].

    It is 1 where all is well, and where the loss corrects nothing (`method` none): copies are the only correction then.

    Args:
        different: different photos of each family, int64 [classes].
        trained: photos and copies of each family that an epoch shows, int64 [classes].
    """
    factor = np.ones(len(different))
    there = (different > 0) & (trained > 0)
    if method == "none" or not there.any():
        return factor
    counts = _emphasis(correction, trained)[there] / _emphasis(balance(method, different), different)[there]
    # Only families against each other matter: those with the fewest copies count as much as they should.
    copies = trained[there] / different[there]
    factor[there] = counts / np.median(counts[copies == copies.min()])
    return factor


def photos_alike(dataset: Dataset) -> list[list[int]]:
    """For each family, how many training photos show each of its different pictures.

    Near-duplicates count as copies where they alone make the groups; bursts, photos of one species or of one station
    do not.
    """
    alike = set(dataset.manifest.grouping) <= {NEAR_DUPLICATES, "none"}
    photos = Counter((row.label, row.group if alike else row.sha256) for row in dataset.photos("train"))
    pictures: list[list[int]] = [[] for _ in dataset.class_names]
    for (label, _), count in photos.items():
        pictures[label].append(count)
    return pictures


def _emphasis(correction: Balance, counts: Ints) -> Doubles:
    weights, offsets = (values.astype(np.float64) for values in correction)
    return np.asarray(counts * weights / np.exp(offsets))


def _names(dataset: Dataset, families: Sequence[int] | Ints) -> str:
    names = [dataset.class_names[family] for family in families]
    more = f" and {len(names) - _NAMED} more families" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
