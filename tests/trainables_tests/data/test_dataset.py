import json
from pathlib import Path

import pytest

from trainables.data.dataset import MANIFEST, PHOTOS, SPLITS, Dataset, Photo, fingerprint_of, open_dataset
from trainables.data.shards import read_split
from trainables.errors import UserError


def photo(number: int, split: str = "train", label: int = 0) -> Photo:
    return Photo(f"p{number}", split, f"f{label}", label, f"{number:064x}", f"p{number}", f"f/{number}.jpg", 9, 9, "s")


def damaged_copy(dataset: Dataset, folder: Path, name: str, text: str) -> Path:
    for file in (MANIFEST, PHOTOS):
        (folder / file).write_bytes((dataset.folder / file).read_bytes())
    (folder / name).write_text(text)
    return folder


def test_photos_stand_in_the_order_in_which_they_are_read(small_dataset: Dataset) -> None:
    for split in SPLITS:
        rows = [(row.photo_id, row.label) for row in small_dataset.photos(split)]
        assert rows == [(read.photo_id, read.label) for read in read_split(small_dataset, split)]
        assert len(rows) == sum(small_dataset.manifest.counts[split].values()) > 0


def test_labels_are_places_in_the_class_names(small_dataset: Dataset) -> None:
    for row in small_dataset.photos("train"):
        assert small_dataset.class_names[row.label] == row.family


def test_the_manifest_s_fingerprint_is_that_of_its_photos(small_dataset: Dataset) -> None:
    rows = [row for split in SPLITS for row in small_dataset.photos(split)]
    assert fingerprint_of(rows, small_dataset.class_names) == small_dataset.fingerprint


def test_the_fingerprint_tells_split_label_content_and_names_apart_but_not_order() -> None:
    rows = [photo(1), photo(2)]
    same = fingerprint_of(rows, ["f0"])
    assert fingerprint_of(rows[::-1], ["f0"]) == same
    changed = [photo(1), photo(2, "test")], [photo(1), photo(2, label=1)], [photo(1), photo(2)._replace(sha256="0")]
    assert len({same, *(fingerprint_of(other, ["f0"]) for other in changed), fingerprint_of(rows, ["x"])}) == 5


def test_a_folder_without_its_marker_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no manifest\.json"):
        open_dataset(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        open_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "{}", '{"format": 1, "what": 2}'])
def test_a_damaged_manifest_is_one_line(text: str, small_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest\.json is damaged: [^\n]*prepare it again$"):
        open_dataset(damaged_copy(small_dataset, tmp_path, MANIFEST, text))


@pytest.mark.parametrize("text", ["", "photo_id\np1\n", "\0", "photo_id,split,family,label\np1,train,f,one\n"])
def test_damaged_photos_csv_is_one_line(text: str, small_dataset: Dataset, tmp_path: Path) -> None:
    dataset = open_dataset(damaged_copy(small_dataset, tmp_path, PHOTOS, text))
    with pytest.raises(UserError, match=r"photos\.csv is damaged: [^\n]*$"):
        dataset.photos("train")


def test_an_edited_photos_csv_is_seen(small_dataset: Dataset, tmp_path: Path) -> None:
    text = (small_dataset.folder / PHOTOS).read_text().replace(",test,", ",train,", 1)
    dataset = open_dataset(damaged_copy(small_dataset, tmp_path, PHOTOS, text))
    with pytest.raises(UserError, match=r"is not the list that manifest\.json was written for"):
        dataset.photos("train")


def test_a_manifest_of_a_later_format_is_refused(small_dataset: Dataset, tmp_path: Path) -> None:
    manifest = json.loads((small_dataset.folder / MANIFEST).read_text()) | {"format": 2}
    with pytest.raises(UserError, match="format: input should be 1"):
        open_dataset(damaged_copy(small_dataset, tmp_path, MANIFEST, json.dumps(manifest)))


def test_an_unknown_split_names_the_known_ones(small_dataset: Dataset) -> None:
    with pytest.raises(UserError, match="'val'; the splits are train, validation, test"):
        small_dataset.photos("val")
