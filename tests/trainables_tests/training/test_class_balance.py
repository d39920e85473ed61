from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tests.trainables_tests.drawn_photos import QUICK, write_photos
from trainables.data.dataset import Dataset, open_dataset
from trainables.data.prepare import prepare
from trainables.training.class_balance import (
    balance,
    double_corrections,
    double_corrections_in_trials,
    excess,
    photos_alike,
)

COUNTS = np.array([300, 30, 5])
LABELS = np.repeat([0, 1, 2], COUNTS)
PHOTOS = np.array([300, 100, 30, 0])
COPIED = PHOTOS * [1, 3, 3, 1]  # two copies of each photo of two families


def test_class_weights_are_scikit_learns_balanced_ones() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(balance("class_weights", COUNTS).weights, expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["class_weights", "effective_number", "logit_adjustment", "none"])
def test_weights_average_one_over_the_photos(method: str) -> None:
    assert balance(method, COUNTS).weights[LABELS].mean() == pytest.approx(1, rel=1e-6)


def test_effective_number_lies_between_no_weights_and_class_weights() -> None:
    full, effective = (balance(name, COUNTS).weights for name in ("class_weights", "effective_number"))
    assert 1 < effective[2] / effective[0] < full[2] / full[0]


def test_logit_adjustment_adds_the_log_prior_and_no_weights() -> None:
    adjusted = balance("logit_adjustment", COUNTS)
    np.testing.assert_allclose(adjusted.logit_offsets, np.log(COUNTS / COUNTS.sum()), rtol=1e-6)
    np.testing.assert_array_equal(adjusted.weights, np.ones(3))


@pytest.mark.parametrize("method", ["class_weights", "effective_number", "logit_adjustment", "none"])
def test_a_family_without_training_photos_gives_finite_numbers(method: str) -> None:
    result = balance(method, np.array([10, 0, 5]))
    assert np.isfinite(result.weights).all()
    assert np.isfinite(result.logit_offsets).all()
    assert result.weights[1] == 0


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="magic"):
        balance("magic", COUNTS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepared(tmp_path_factory.mktemp("plain"), copies=0)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The family "b" was oversampled before it was prepared: two re-encoded copies of each photo."""
    return prepared(tmp_path_factory.mktemp("copied"), copies=2)


def prepared(folder: Path, copies: int, of: slice = slice(40, None)) -> Dataset:
    """Two families of 40 photos, with re-encoded copies of some; those of the family "b" are the last 40."""
    from PIL import Image

    sources = write_photos(folder / "photos", {"a": 40, "b": 40})
    for source in sources[of]:
        with Image.open(folder / "photos" / source) as picture:
            for copy in range(copies):
                picture.save(folder / "photos" / source.replace(".jpg", f"-{copy}.jpg"), quality=60 + copy)
    prepare(folder / "photos", folder / "dataset", QUICK)
    return open_dataset(folder / "dataset")


def counts(dataset: Dataset) -> np.ndarray:
    return np.bincount([row.label for row in dataset.photos("train")])


@pytest.mark.parametrize("method", ["class_weights", "logit_adjustment"])
def test_a_correction_worked_out_after_the_copies_takes_them_back(method: str) -> None:
    np.testing.assert_allclose(excess(method, balance(method, COPIED), PHOTOS, COPIED), 1, rtol=1e-5)


@pytest.mark.parametrize("method", ["class_weights", "logit_adjustment"])
def test_a_correction_worked_out_before_the_copies_counts_them_on_top(method: str) -> None:
    factor = excess(method, balance(method, PHOTOS), PHOTOS, COPIED)
    np.testing.assert_allclose(factor, [1, 3, 3, 1], rtol=1e-5)


def test_effective_number_takes_copies_for_new_photos() -> None:
    factor = excess("effective_number", balance("effective_number", COPIED), PHOTOS, COPIED)
    assert factor[0] == pytest.approx(1)
    # n / E(n), with E as Cui et al. define it: 300 photos and copies where the method means 100 photos.
    expected = (300 / (1 - 0.999**300)) / (100 / (1 - 0.999**100))
    assert factor[1] == pytest.approx(expected, rel=1e-5)
    assert factor[1] > factor[2] > 1


def test_copies_alone_are_one_correction() -> None:
    assert (excess("none", balance("none", COPIED), PHOTOS, COPIED) == 1).all()


@pytest.mark.parametrize("method", ["class_weights", "effective_number", "logit_adjustment", "none"])
def test_without_copies_nothing_is_corrected_twice(method: str, plain: Dataset) -> None:
    assert double_corrections_in_trials(plain, [method]) == []
    np.testing.assert_allclose(excess(method, balance(method, PHOTOS), PHOTOS, PHOTOS), 1, rtol=1e-5)


def test_the_sentence_names_the_families_and_how_much(plain: Dataset) -> None:
    trained = counts(plain) * [1, 3]
    (line,) = double_corrections(plain, "class_weights", balance("class_weights", counts(plain)), trained, [1])
    assert line.startswith("the imbalance is corrected twice: class_weights does not know the copies of b, which ")
    assert "count up to 3.00 times as much as it means" in line


def test_copies_of_a_family_that_was_oversampled_before_are_told(plain: Dataset, copied: Dataset) -> None:
    for dataset, lines in ((plain, 0), (copied, 1)):
        trained = counts(dataset) * [1, 3]
        found = double_corrections(dataset, "class_weights", balance("class_weights", trained), trained, [1])
        assert len(found) == lines
    assert "most photos of b looked like copies of each other before the final stage added its own" in found[0]
    # Where it is left alone, its weights know of the copies: one correction.
    trained = counts(copied)
    assert double_corrections(copied, "class_weights", balance("class_weights", trained), trained, []) == []


def test_a_few_pictures_of_which_there_are_many_are_no_oversampling(tmp_path: Path) -> None:
    """Scanned digits: some photos of a family look alike by nature, however few others there are."""
    dataset = prepared(tmp_path, copies=8, of=slice(40, 50))
    photos, different = counts(dataset)[1], len(photos_alike(dataset)[1])
    assert photos > 2 * different
    trained = counts(dataset) * [1, 3]
    assert double_corrections(dataset, "class_weights", balance("class_weights", trained), trained, [1]) == []


def test_near_duplicates_are_copies_and_bursts_are_not(copied: Dataset) -> None:
    a, b = counts(copied)
    assert list(map(len, photos_alike(copied))) == [a, b / 3]
    by_burst = copied.manifest.model_copy(update={"grouping": ["near-duplicates", "bursts"]})
    assert list(map(len, photos_alike(Dataset(copied.folder, by_burst)))) == [a, b]


def test_trials_on_copies_in_the_folder_are_told_where_the_method_takes_them_for_photos(copied: Dataset) -> None:
    assert double_corrections_in_trials(copied, ["class_weights", "logit_adjustment", "none"]) == []
    found = double_corrections_in_trials(copied, ["none", "effective_number"])
    assert [line.split(" does")[0] for line in found] == ["the imbalance is corrected twice: effective_number"]
