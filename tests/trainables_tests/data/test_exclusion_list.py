from pathlib import Path

import pytest

from trainables.data.exclusion_list import apply_exclusion_list, read_exclusion_list
from trainables.data.photo_files import Exclusion, Found, PhotoFile
from trainables.errors import UserError


def found() -> Found:
    photos = [PhotoFile(str(n), f"f/{n}.jpg", "f") for n in range(3)]
    return Found("class folders", photos, [Exclusion("f/note.txt", "not_a_photo", "")])


def test_listed_photos_are_left_out_and_the_list_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "exclude.txt"
    file.write_text("# people\nf/1.jpg  # a face\n\n./f/2.jpg\n")
    photos = found()
    record = apply_exclusion_list(photos, file)
    assert [photo.source for photo in photos.photos] == ["f/0.jpg"]
    assert {(one.source, one.reason) for one in photos.excluded[1:]} == {("f/1.jpg", "listed"), ("f/2.jpg", "listed")}
    assert record is not None
    assert (record.file, record.entries, record.matched) == (str(file), 2, 2)
    assert photos.warnings == []


def test_entries_that_name_no_photo_are_told(tmp_path: Path) -> None:
    file = tmp_path / "exclude.txt"
    file.write_text("f/1.jpg\nf/9.jpg\nf/note.txt\n")
    photos = found()
    apply_exclusion_list(photos, file)
    assert photos.warnings == ["1 of the 3 entries of exclude.txt name no photo: f/9.jpg"]


def test_a_csv_with_a_source_column_is_a_list_with_reasons(tmp_path: Path) -> None:
    file = tmp_path / "review.csv"
    file.write_text("rank,source,reason\n1,f/1.jpg,a map\n2,f/2.jpg,\n")
    assert read_exclusion_list(file) == {"f/1.jpg": "a map", "f/2.jpg": ""}


def test_where_a_csv_has_an_exclude_column_it_decides(tmp_path: Path) -> None:
    file = tmp_path / "review.csv"
    file.write_text("source,exclude\nf/0.jpg,\nf/1.jpg,Yes\nf/2.jpg,no\n")
    assert read_exclusion_list(file) == {"f/1.jpg": ""}


def test_no_list_excludes_nothing() -> None:
    photos = found()
    assert apply_exclusion_list(photos, None) is None
    assert len(photos.photos) == 3


def test_a_missing_or_binary_list_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; --exclude takes"):
        read_exclusion_list(tmp_path / "gone.txt")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_exclusion_list(tmp_path / "list.txt")


def test_odd_names_survive_the_list_as_csv(tmp_path: Path) -> None:
    file = tmp_path / "exclude.csv"
    file.write_text('source,reason\n"f/a, ""b"".jpg",irrelevant\n"f/two\nlines.jpg",blank\nf/größe 猫.jpg,tiny\n')
    assert list(read_exclusion_list(file)) == ['f/a, "b".jpg', "f/two\nlines.jpg", "f/größe 猫.jpg"]


def test_a_csv_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "exclude.csv"
    file.write_text("source\n" + "x" * 200_000 + "\n")
    with pytest.raises(UserError, match="is not a CSV file: field larger"):
        read_exclusion_list(file)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_list_that_a_spreadsheet_saved_with_semicolons_or_tabs_is_read(separator: str, tmp_path: Path) -> None:
    file = tmp_path / "review.csv"
    rows = ["exclude,rank,source", "yes,1,f/1.jpg", ",2,f/2.jpg"]
    file.write_text("\ufeff" + "\r\n".join(row.replace(",", separator) for row in rows) + "\r\n")
    assert read_exclusion_list(file) == {"f/1.jpg": ""}


@pytest.mark.parametrize("word", ["ja", "delete", "maybe"])
def test_a_word_that_is_neither_yes_nor_no_is_refused(word: str, tmp_path: Path) -> None:
    file = tmp_path / "review.csv"
    file.write_text(f"source,exclude\nf/0.jpg,\nf/1.jpg,{word}\n")
    with pytest.raises(UserError, match=rf"review.csv line 3: the column exclude says '{word}'; it takes 1, true, x,"):
        read_exclusion_list(file)


def test_a_list_of_which_no_entry_names_a_photo_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "exclude.txt"
    file.write_text("elsewhere/f/1.jpg\nelsewhere/f/2.jpg\n")
    with pytest.raises(UserError, match=r"none of the 2 entries of .*exclude.txt names a photo, the first is 'else"):
        apply_exclusion_list(found(), file)


def test_a_list_in_which_nobody_ticked_anything_is_told(tmp_path: Path) -> None:
    file = tmp_path / "review.csv"
    file.write_text("source,exclude\nf/0.jpg,\n")
    photos = found()
    apply_exclusion_list(photos, file)
    assert photos.warnings == ["review.csv leaves out nothing: it has no entry, or none that says yes"]
