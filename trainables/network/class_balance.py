"""Class weights and logit offsets of each family."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

EFFECTIVE_NUMBER_BETA = 0.999


class Balance(NamedTuple):
    """Both float32 [classes]: `weights` multiply a photo's training loss, `logit_offsets` are added while training."""

    weights: Floats
    logit_offsets: Floats


def balance(method: str, counts: npt.NDArray[np.int64]) -> Balance:
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


def _inverse(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
