from collections import Counter

import numpy as np
import pytest

from trainables.config import Validation
from trainables.data.dataset import Dataset, Photo
from trainables.data.folds import Parting, _folds, folds_of, partings_of
from trainables.data.leaks import prove_disjoint
from trainables.errors import UserError

FIVE = Validation(folds=5)


def photos(*families: list[str]) -> list[Photo]:
    """Photos with these groups, a list for each family."""
    return [
        Photo(f"{label}-{number}", "train", f"family {label}", label, "", group, "", 9, 9, "")
        for label, groups in enumerate(families)
        for number, group in enumerate(groups)
    ]


def test_every_photo_is_held_back_once_and_families_evenly(small_dataset: Dataset) -> None:
    partings = folds_of(small_dataset, FIVE, 0)
    labels = np.array([photo.label for split in ("train", "validation") for photo in small_dataset.photos(split)])
    assert sorted(np.concatenate([judged for _, judged in partings])) == list(range(len(labels)))
    for fit, judged in partings:
        assert sorted([*fit, *judged]) == list(range(len(labels)))
    counts = [np.bincount(labels[judged], minlength=labels.max() + 1) for _, judged in partings]
    assert np.ptp(counts, axis=0).max() <= 2


def test_no_group_is_parted_and_a_familys_only_group_is_always_trained_on() -> None:
    rows = photos([f"a{number // 3}" for number in range(30)], ["b"] * 6, [f"c{number}" for number in range(12)])
    partings = _folds(rows, 3, seed=1)
    for fit, judged in partings:
        assert not {rows[row].group for row in fit} & {rows[row].group for row in judged}
        assert all(rows[row].group != "b" for row in judged)
    held = Counter(int(row) for _, judged in partings for row in judged)
    assert set(held.values()) == {1} and len(held) == 42


def test_folds_follow_from_the_sweeps_seed_and_a_holdout_from_the_trials(small_dataset: Dataset) -> None:
    def judged(validation: Validation, sweep_seed: int, seed: int) -> list[list[int]]:
        return [each.judged.tolist() for each in partings_of(small_dataset, validation, sweep_seed, seed)]

    assert judged(Validation(), 0, 0) == []
    assert judged(FIVE, 0, 1) == judged(FIVE, 0, 2) != judged(FIVE, 1, 1)
    own = Validation(reshuffled=True)
    assert judged(own, 0, 1) == judged(own, 3, 1) != judged(own, 0, 2)
    (held_back,) = judged(own, 0, 1)
    assert len(held_back) == pytest.approx(len(small_dataset.photos("validation")), rel=0.3)


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(UserError, match="5 folds need as many groups"):
        _folds(photos(["a", "b"], ["c", "d"]), 5, 0)


def test_the_leak_proof_covers_every_fold(small_dataset: Dataset) -> None:
    partings = folds_of(small_dataset, FIVE, 0)
    proof = prove_disjoint(small_dataset, partings)
    assert proof.passed and sum(pair.a.startswith("fold") for pair in proof.pairs) == 15
    fit, judged = partings[1]
    parted = [partings[0], Parting(np.append(fit, judged[0]), judged)]
    leaking = prove_disjoint(small_dataset, parted)
    assert not leaking.passed and all("fold 2, held back" in line for line in leaking.leaks)
