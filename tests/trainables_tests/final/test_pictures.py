from pathlib import Path

import numpy as np
from PIL import Image

from tests.trainables_tests.training_example import FAMILIES, SMALL, make_worker
from trainables.data.dataset import Dataset
from trainables.final.pictures import GAP, LABEL_HEIGHT, SIDE, augmentation_preview, sample_grid, write_pictures


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
