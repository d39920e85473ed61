"""trainables/inference/keras_model.py: folders of photos, and a model file without anything beside it."""

import shutil
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.data.photo_files import Found
from trainables.errors import UserError
from trainables.inference.keras_model import find_photos, load_classifier, read_labels


def test_a_folder_stands_for_the_photos_in_it(album: Path) -> None:
    names = [str(photo.relative_to(album)) for photo in find_photos([album])]
    assert names == ["a.PNG", "b.png", "broken.jpg", "deep/c.png", "deep/d.png"]
    assert find_photos([album / "b.png", album / "deep"])[0] == album / "b.png"


def test_what_is_passed_over_is_counted_and_named(album: Path) -> None:
    others = Found("album")
    find_photos([album], others)
    assert others.passed_over() == (
        "2 by its name (.hidden.png, deep/.thumbs.jpg); 1 by its name and its first bytes (notes.txt)"
    )


def test_phone_photos_and_files_without_an_ending_are_photos(tmp_path: Path) -> None:
    for name, kind in (("1.HEIC", "HEIF"), ("2.jp2", "JPEG2000"), ("3", "JPEG")):
        (tmp_path / name).write_bytes(encoded(drawn(1), kind))
    assert [photo.name for photo in find_photos([tmp_path])] == ["1.HEIC", "2.jp2", "3"]


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no photo"):
        find_photos([tmp_path])


def test_model_keras_is_enough_alone(tiny_model: Path, album: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model / "model.keras", tmp_path / "mine.keras")
    alone, beside = (
        list(load_classifier(model).answers([album / "b.png"], 2)) for model in (tmp_path / "mine.keras", tiny_model)
    )
    assert alone == beside


def test_the_labels_add_no_entry_to_the_archive(tiny_model: Path) -> None:
    """Keras unpacks the whole archive to the disk at every loading when there are more than its own three."""
    with zipfile.ZipFile(tiny_model / "model.keras") as archive:
        assert len(archive.namelist()) == 3


def test_a_model_from_before_labels_were_inside_takes_those_beside_it(tiny_model: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
    with pytest.raises(UserError, match=r"labels\.json does not exist"):
        read_labels(tmp_path / "model.keras")
    shutil.copy(tiny_model / "labels.json", tmp_path)
    assert read_labels(tmp_path / "model.keras") == read_labels(tiny_model / "model.keras")


@pytest.mark.parametrize("content", [b"", b"PK no archive", b"{}"])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(UserError, match="no model that `retrain` wrote"):
        read_labels(tmp_path / "model.keras")


def damaged(model: Path, damage: str) -> None:
    content = bytearray(model.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    left = {"cut": content[: len(content) // 2], "empty": b"", "headless": content[200:], "page": b"<html>" * 99}
    model.write_bytes(left.get(damage, content))


@pytest.mark.parametrize("damage", ["cut", "empty", "headless", "page", "flipped"])
def test_a_damaged_model_is_one_line(tiny_model: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(tiny_model, tmp_path / "final")
    damaged(tmp_path / "final" / "model.keras", damage)
    with pytest.raises(UserError, match=r"model\.keras is no model that `retrain` wrote: ") as raised:
        load_classifier(tmp_path / "final")
    assert "\n" not in str(raised.value)


def test_a_wrong_byte_anywhere_is_a_line_or_changes_nothing(tiny_model: Path, tmp_path: Path) -> None:
    content = (tiny_model / "model.keras").read_bytes()
    labels, file, refused = read_labels(tiny_model / "model.keras"), tmp_path / "model.keras", 0
    places = [*range(0, len(content), max(1, len(content) // 150)), *range(len(content) - 150, len(content))]
    for place in places:
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            assert read_labels(file) == labels
        except UserError:
            refused += 1
    assert refused > len(places) / 2


def test_what_unpacks_to_far_more_than_it_is_is_refused_before_it_is_unpacked(tiny_model: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "model.keras"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("metadata.json", "w") as entry:
        for _ in range(300):
            entry.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(UserError, match="bytes unpack to 314,572,800"):
        read_labels(bomb)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
