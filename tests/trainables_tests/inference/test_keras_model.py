"""trainables/inference/keras_model.py: folders of photos, and a model file without anything beside it."""

import shutil
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
