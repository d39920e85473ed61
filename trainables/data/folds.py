"""Other partings of the training and validation photos: folds, or a holdout of each trial's own. Test stays apart."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.config import TrialConfig, Validation
from trainables.data.dataset import Dataset, Photo
from trainables.errors import UserError

PARTED = ("train", "validation")
"""The splits whose photos are parted, in the order in which a parting counts them."""

Ints = npt.NDArray[np.int64]


class Parting(NamedTuple):
    """Photos to fit on and photos to judge by: rising places, int64, among those of train and then validation."""

    fit: Ints
    judged: Ints


def as_they_are(config: TrialConfig) -> tuple[str, ...]:
    """The splits whose photos trials read as they are; of the others, only augmented views."""
    return PARTED if config.validation.parted or not config.augmentation.varies else ("validation",)


def folds_of(dataset: Dataset, validation: Validation, seed: int) -> list[Parting]:
    """The folds that judge one configuration alike: `validation.folds`, or as many as holdouts fit in the photos.

    Raises:
        UserError: there are fewer groups than folds.
    """
    return _folds(_photos(dataset), validation.folds if validation.folds > 1 else _holdouts(dataset), seed)


def partings_of(dataset: Dataset, validation: Validation, sweep_seed: int, seed: int) -> list[Parting]:
    """How a trial's photos are parted: all folds, the same for every trial, or one holdout, drawn by its own `seed`.

    Nothing where the dataset's own validation photos judge. No group is parted, and what a family's only group holds is
    always fitted on, as in `prepare`. Families are dealt evenly (scikit-learn's StratifiedGroupKFold).

    Raises:
        UserError: there are fewer groups than folds.
    """
    if validation.reshuffled:
        return _folds(_photos(dataset), _holdouts(dataset), seed)[:1]
    return folds_of(dataset, validation, sweep_seed) if validation.folds > 1 else []


def _photos(dataset: Dataset) -> list[Photo]:
    return [photo for split in PARTED for photo in dataset.photos(split)]


def _holdouts(dataset: Dataset) -> int:
    """How many holdouts as large as the dataset's validation there are in its training and validation photos."""
    train, validation = (len(dataset.photos(split)) for split in PARTED)
    return max(2, round((train + validation) / max(validation, 1)))


def _folds(photos: Sequence[Photo], count: int, seed: int) -> list[Parting]:
    from sklearn.model_selection import StratifiedGroupKFold

    groups_of: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        groups_of[photo.family].add(photo.group)
    only = {next(iter(groups)) for groups in groups_of.values() if len(groups) == 1}
    free = np.flatnonzero([photo.group not in only for photo in photos])
    labels = np.array([photo.label for photo in photos], np.int64)[free]
    groups = np.array([photo.group for photo in photos])[free]
    if len(np.unique(groups)) < count:
        raise UserError(
            f"validation: {count} folds need as many groups of photos, and of families with two or more groups the "
            f"dataset has {len(np.unique(groups))} in train and validation; use fewer folds, or prepare more photos"
        )
    dealer = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Families with fewer photos than folds are what this is for.
        dealt = [free[held_back] for _, held_back in dealer.split(np.zeros(len(free)), labels, groups)]
    everything = np.arange(len(photos))
    return [Parting(np.setdiff1d(everything, judged), np.sort(judged)) for judged in dealt]
