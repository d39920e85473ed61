from collections import Counter
from pathlib import Path

import pytest

from tests.trainables_tests.data.test_layouts import reasons, touch
from trainables.data.layouts import find_photos
from trainables.errors import UserError


def test_class_folders_are_the_labels_and_paths_the_ids(tmp_path: Path) -> None:
    found = find_photos(touch(tmp_path, "b_c/2.JPG", "a_b/1.png", "a_b/2.png"))
    assert {photo.source: photo.class_name for photo in found.photos} == {
        "b_c/2.JPG": "b_c", "a_b/1.png": "a_b", "a_b/2.png": "a_b"
    }  # fmt: skip
    assert len({photo.photo_id for photo in found.photos}) == 3
    assert (found.splits, found.warnings) == ({}, [])


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "validation"), ("train", "dev", "eval")])
def test_split_folders_are_no_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    found = find_photos(touch(tmp_path, *(f"{name}/{family}/1.jpg" for name in names for family in ("lynx", "boar"))))
    assert Counter(photo.class_name for photo in found.photos) == {"lynx": len(names), "boar": len(names)}
    expected = {"t": "train", "v": "validation", "d": "validation", "e": "test"}
    for name in names:
        split = "test" if name == "test" else expected[name[0].lower()]
        assert {found.splits[f"{name}/{family}/1.jpg"] for family in ("lynx", "boar")} == {split}
    assert found.warnings == []


def test_vehicles_called_train_are_a_class(tmp_path: Path) -> None:
    found = find_photos(touch(tmp_path, "train/1.jpg", "car/1.jpg", "bus/1.jpg"))
    assert {photo.class_name for photo in found.photos} == {"train", "car", "bus"}
    assert found.splits == {}


@pytest.mark.parametrize(
    ("sources", "line"),
    [
        (["train/a/1.jpg", "test/a/2.jpg", "unlabelled/3.jpg"], "test, train are called as splits are, and unlabelled"),
        (["train/1.jpg", "val/2.jpg"], "train, val are called as splits are, and hold no class folders"),
    ],
)
def test_splits_that_are_not_sure_are_refused(sources: list[str], line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=line):
        find_photos(touch(tmp_path, *sources))


TREE = ["Animalia/Chordata/Felidae/1.jpg", "Animalia/Chordata/Suidae/1.jpg", "Plantae/Tracheophyta/Rosaceae/1.jpg"]


def test_a_deeper_tree_is_asked_for_a_level_and_never_guessed(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_photos(touch(tmp_path, *TREE))
    assert str(caught.value).endswith(
        "photos lie up to 3 folders deep; say which folder is the label: --label-level 1 (2 classes: Animalia, "
        "Plantae) or 2 (2 classes: Chordata, Tracheophyta) or 3 (3 classes: Felidae, Rosaceae, Suidae)"
    )


@pytest.mark.parametrize(("level", "classes"), [("1", 2), ("3", 3)])
def test_the_level_says_which_folder_is_the_label(level: str, classes: int, tmp_path: Path) -> None:
    found = find_photos(touch(tmp_path, *TREE, "Animalia/loose.jpg"), level)
    assert len({photo.class_name for photo in found.photos}) == classes
    assert reasons(found) == ({"Animalia/loose.jpg": "no_class_folder"} if level == "3" else {})


def test_a_level_is_counted_below_split_folders(tmp_path: Path) -> None:
    sources = [f"{split}/{source}" for split in ("train", "test") for source in TREE]
    with pytest.raises(UserError, match=r"--label-level 1 \(2 classes: Animalia, Plantae\) or 2"):
        find_photos(touch(tmp_path, *sources))
    found = find_photos(tmp_path, "3")
    assert {photo.class_name for photo in found.photos} == {"Felidae", "Suidae", "Rosaceae"}
    assert len(found.splits) == 6


def test_a_level_that_no_photo_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder 4; say which folder is the label: --label-level 1"):
        find_photos(touch(tmp_path, *TREE), "4")


def test_one_label_in_several_folders_is_told(tmp_path: Path) -> None:
    found = find_photos(touch(tmp_path, "north/lynx/1.jpg", "south/lynx/1.jpg", "south/boar/1.jpg"), "2")
    assert Counter(photo.class_name for photo in found.photos) == {"lynx": 2, "boar": 1}
    assert found.warnings == [
        "1 labels are the name of several folders, which are one class: lynx in north/lynx, south/lynx"
    ]


def test_a_taxonomy_is_asked_for_the_folder_that_has_the_number(tmp_path: Path) -> None:
    touch(tmp_path / "photos", "north/Lynx lynx/1.jpg", "south/Sus scrofa/1.jpg")
    (tmp_path / "ranks.csv").write_text("name,family\nlynx lynx,Felidae\nsus scrofa,Suidae\n")
    found = find_photos(tmp_path / "photos", "2", tmp_path / "ranks.csv")
    assert {photo.class_name for photo in found.photos} == {"felidae", "suidae"}
