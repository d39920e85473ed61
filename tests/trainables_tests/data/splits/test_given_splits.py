import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.trainables_tests.data.listed_photos import draw, write_coco
from tests.trainables_tests.data.test_prepare import all_photos, excluded, prepared
from tests.trainables_tests.drawn_photos import drawn, write_photos
from trainables.data.leaks import prove_disjoint
from trainables.errors import UserError


@pytest.fixture
def in_splits(tmp_path: Path) -> Path:
    for number, split in enumerate(("train", "val", "test")):
        write_photos(tmp_path / "photos" / split, {"a": 8, "b": 6}, start=100 * number)
    return tmp_path / "photos"


def test_photos_in_split_folders_are_split_anew(in_splits: Path) -> None:
    dataset = prepared(in_splits)
    assert dataset.manifest.class_names == ["a", "b"]
    assert dataset.manifest.layout == "class folders in test, train, val"
    assert dataset.manifest.warnings == [
        "the photos came in splits (test and train and validation) and are split anew; --splits given keeps them"
    ]
    assert len({row.split for row in all_photos(dataset).values() if row.source.startswith("val/")}) > 1


def test_given_splits_are_kept_and_made_disjoint(in_splits: Path) -> None:
    shutil.copy(in_splits / "test/a/000.jpg", in_splits / "train/a/copy.jpg")
    Image.open(in_splits / "val/b/001.jpg").save(in_splits / "train/b/again.png")
    write_photos(in_splits / "test", {"untaught": 2}, start=900)
    dataset = prepared(in_splits, splits="given")
    rows = all_photos(dataset)
    assert {row.split for row in rows.values() if row.source.startswith("val/")} == {"validation"}
    assert Counter(row.split for row in rows.values()) == {"train": 14, "validation": 14, "test": 14}
    assert excluded(dataset) == {
        "train/a/copy.jpg": "in_two_splits", "train/b/again.png": "in_two_splits",
        "test/untaught/000.jpg": "no_training", "test/untaught/001.jpg": "no_training",
    }  # fmt: skip
    assert (
        "2 photos of the given splits are in a later split too and left out: train/a/copy.jpg"
        in (dataset.manifest.warnings[0])
    )
    assert dataset.manifest.missing_families == {"untaught": {"no_training": 2}}
    assert prove_disjoint(dataset).passed


def test_a_validation_that_was_not_given_is_drawn_from_training(in_splits: Path) -> None:
    shutil.rmtree(in_splits / "val")
    dataset = prepared(in_splits, splits="given")
    splits = {source: row.split for source, row in all_photos(dataset).items()}
    assert {split for source, split in splits.items() if source.startswith("test/")} == {"test"}
    assert Counter(split for source, split in splits.items() if source.startswith("train/")) == {
        "train": 12, "validation": 2
    }  # fmt: skip


def test_given_splits_need_splits(tmp_path: Path) -> None:
    write_photos(photos := tmp_path / "photos", {"a": 2, "b": 2})
    with pytest.raises(UserError, match=r"--splits given needs folders called train and val, .* not come in splits"):
        prepared(photos, splits="given")


def test_given_splits_and_a_time_split_contradict_each_other(in_splits: Path) -> None:
    with pytest.raises(UserError, match="--split-by-time makes a split, and --splits given keeps"):
        prepared(in_splits, splits="given", split_by_time=True)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Three files of COCO Camera Traps, one for each split; station far is in training and test, one photo in none."""
    names = ["deer", "fox"]
    for place, split in enumerate(("train", "val", "test")):
        numbers = range(8 * place, 8 * place + 8)
        draw(tmp_path / "photos", *(f"{number}.jpg" for number in numbers), start=8 * place)
        images = [
            {"id": f"i{n}", "file_name": f"{n}.jpg", "location": "far" if n in (1, 23) else f"s{n}"} for n in numbers
        ]
        annotations = [{"id": f"a{n}", "image_id": f"i{n}", "category_id": n % 2} for n in numbers]
        write_coco(tmp_path / f"photos/annotations_{split}.json", images, annotations, names)
    draw(tmp_path / "photos", "loose.jpg", start=90)
    loose = {"id": "x", "file_name": "loose.jpg", "location": "s90"}
    write_coco(tmp_path / "photos/more.json", [loose], [{"image_id": "x", "category_id": 0}], names)
    return tmp_path / "photos"


def test_splits_of_a_list_are_kept_and_groups_of_a_column_are_not_parted(listed: Path) -> None:
    dataset = prepared(listed, splits="given", group=("near-duplicates", "station"))
    rows = all_photos(dataset)
    assert Counter(row.split for row in rows.values()) == {"train": 7, "validation": 8, "test": 8}
    assert excluded(dataset) == {"1.jpg": "in_two_splits", "loose.jpg": "no_split"}
    assert rows["23.jpg"].split == "test" and prove_disjoint(dataset).passed
    detail = (dataset.folder / "excluded.csv").read_text()
    assert "it is of one group (--group) with 23.jpg, which is in test" in detail
    assert not any("are asked for" in line for line in dataset.manifest.warnings)
    both = prepared(listed, "both", splits="given")  # Without the column, the station may be in two splits.
    assert all_photos(both)["1.jpg"].split == "train"


def test_doubtful_labels_stay_in_the_splits_that_they_came_in(in_splits: Path) -> None:
    drawn(777).save(in_splits / "test/a/like.jpg", quality=90)
    drawn(777).save(in_splits / "test/b/like.png")
    manifest = prepared(in_splits, splits="given").manifest
    [line] = [line for line in manifest.warnings if "carry different labels" in line]
    assert "stay in the splits that they came in" in line and "in training only" not in line
    assert manifest.two_labels == 0  # It counts those of training.


def test_leaks_that_leave_nothing_are_one_line(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos/train", {"a": 3, "b": 3})
    shutil.copytree(tmp_path / "photos/train", tmp_path / "photos/test")
    with pytest.raises(UserError, match=r"--splits given leaves no photo that can be used: 6 in_two_splits, 6 no_tr"):
        prepared(tmp_path / "photos", splits="given")
