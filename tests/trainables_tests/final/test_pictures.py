from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.training_example import FAMILIES, SMALL, make_worker
from trainables.data.dataset import Dataset
from trainables.final.pictures import (
    GAP,
    LABEL_HEIGHT,
    NAMED,
    SIDE,
    augmentation_preview,
    confusion_shares,
    draw_confusion,
    sample_grid,
    write_pictures,
)


def test_each_family_has_a_row_and_the_most_numerous_stands_first(small_dataset: Dataset, tmp_path: Path) -> None:
    photos = make_worker(small_dataset, tmp_path).photos("train", 32)
    grid = sample_grid(photos, small_dataset.class_names)
    assert grid.height == len(FAMILIES) * (SIDE + LABEL_HEIGHT + GAP) + GAP
    first_family = small_dataset.class_names.index("bright_disc")
    first = photos.read(np.flatnonzero(photos.labels == first_family)[:1])[0]
    shown = np.asarray(grid.crop((GAP, GAP + LABEL_HEIGHT, GAP + SIDE, GAP + LABEL_HEIGHT + SIDE)))
    expected = np.asarray(Image.fromarray(first).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(shown, expected)


def test_the_preview_shows_the_photo_and_pictures_that_differ_from_it(small_dataset: Dataset, tmp_path: Path) -> None:
    photos = make_worker(small_dataset, tmp_path).photos("train", 32)
    preview = np.asarray(augmentation_preview(photos, SMALL))
    top = GAP + LABEL_HEIGHT
    tiles = [preview[top : top + SIDE, GAP + n * (SIDE + GAP) : GAP + n * (SIDE + GAP) + SIDE] for n in range(3)]
    assert not np.array_equal(tiles[0], tiles[1])
    assert not np.array_equal(tiles[1], tiles[2])


def test_both_pictures_are_written(small_dataset: Dataset, tmp_path: Path) -> None:
    photos = make_worker(small_dataset, tmp_path).photos("train", 32)
    write_pictures(photos, small_dataset.class_names, SMALL, tmp_path / "pictures")
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {"samples.jpg", "augmentation.jpg"}


def test_a_row_says_what_a_familys_photos_were_taken_for() -> None:
    shares = confusion_shares(np.array([0, 0, 0, 0, 2]), np.array([0, 0, 1, 2, 1]), 3)
    np.testing.assert_allclose(shares, [[0.5, 0.25, 0.25], [np.nan] * 3, [0, 1, 0]])


@pytest.mark.parametrize("classes", [2, 30, NAMED + 40])
def test_the_picture_holds_any_number_of_families(tmp_path: Path, classes: int) -> None:
    labels = np.arange(classes - 1).repeat(3)  # The last family has no photo.
    predicted = np.where(np.arange(len(labels)) % 3, labels, (labels + 1) % classes)
    draw_confusion(labels, predicted, [f"family_{number}" for number in range(classes)], tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) >= 400 and max(picture.size) <= 2000
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10
