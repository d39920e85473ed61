import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.checkout import ROOT
from tests.trainables_tests.data.test_layouts import reasons, touch
from tests.trainables_tests.drawn_photos import write_photos
from trainables.data.layouts import find_photos
from trainables.data.photo_files import (
    Exclusion,
    Found,
    Inspection,
    PhotoFile,
    apply_exclusion_list,
    inspect_file,
    inspect_files,
    read_exclusion_list,
)
from trainables.errors import UserError


def test_ids_do_not_depend_on_where_the_photos_lie(tmp_path: Path) -> None:
    here, there = (find_photos(touch(tmp_path / name, "a/1.jpg", "b/1.jpg")) for name in ("here", "there"))
    assert here.photos == there.photos


def test_no_file_is_dropped_without_a_word(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "loose.jpg", "a/notes.txt", "a/._1.jpg", ".cache/x/1.jpg")
    os.mkfifo(tmp_path / "a/pipe.jpg")
    (tmp_path / "a/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = find_photos(tmp_path)
    assert [photo.source for photo in found.photos] == ["a/1.jpg"]
    assert reasons(found) == {
        "loose.jpg": "no_class_folder",
        "a/notes.txt": "not_a_photo",
        "a/._1.jpg": "not_a_photo",
        "a/pipe.jpg": "not_a_photo",
        "a/gone.jpg": "not_a_photo",
    }


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.jpg")
    touch(tmp_path / "photos", "b/1.jpg")
    (tmp_path / "photos/a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/b/up").symlink_to(tmp_path / "photos")
    found = find_photos(tmp_path / "photos")
    assert [photo.source for photo in found.photos] == ["a/1.jpg", "b/1.jpg"]
    assert reasons(found) == {"b/up": "not_a_photo"}


def test_a_name_that_is_not_utf8_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    Path(tmp_path, os.fsdecode(b"a/\xe9t\xe9.jpg")).touch()
    found = find_photos(tmp_path)
    assert reasons(found) == {"a/\\xe9t\\xe9.jpg": "bad_name"}


def test_non_ascii_and_very_long_names_are_used(tmp_path: Path) -> None:
    long = "x" * 250 + ".jpg"
    found = find_photos(touch(tmp_path, f"{'k' * 200}/{long}", "été/鳥 🐦,\n.jpg"))
    assert {photo.class_name for photo in found.photos} == {"k" * 200, "été"}
    assert found.excluded == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("photos")
    sources = write_photos(root, {"a": 130})
    (root / sources[7]).write_bytes(b"")
    return root, sources


def test_a_photo_is_described_by_its_bytes_and_its_size_as_shown(photos: tuple[Path, list[str]]) -> None:
    root, sources = photos
    image = (root / sources[0]).read_bytes()
    seen = inspect_file(root, 0, sources[0])
    assert isinstance(seen, Inspection)
    assert seen[:4] == (hashlib.sha256(image).hexdigest(), len(image), 96, 72)


def test_worker_processes_see_what_one_process_sees_in_the_same_order(photos: tuple[Path, list[str]]) -> None:
    root, sources = photos
    assert list(inspect_files(root, sources, workers=2)) == list(inspect_files(root, sources, workers=1))


def test_what_cannot_be_read_is_a_problem_not_an_error(photos: tuple[Path, list[str]]) -> None:
    root, sources = photos
    assert inspect_file(root, 0, sources[7]) == Exclusion(sources[7], "empty", "the file has no bytes")
    assert inspect_file(root, 0, "a/gone.jpg") == Exclusion("a/gone.jpg", "unreadable", "No such file or directory")


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


SLOW_INSPECTION = """
import sys, time
from pathlib import Path
from trainables.data.photo_files import inspect_files

if __name__ == "__main__":  # Workers are spawned, and import this.
    for _ in inspect_files(Path(sys.argv[1]), sys.argv[2:], workers=2):
        time.sleep(0.2)
"""


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    sources = write_photos(tmp_path, {"Lynx": 20})
    script = tmp_path / "slow.py"
    script.write_text(SLOW_INSPECTION)
    command = [sys.executable, str(script), str(tmp_path), *(sources * 20)]
    parent = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        deadline = time.monotonic() + 60
        while len(workers := psutil.Process(parent.pid).children(recursive=True)) < 3:  # And the resource tracker.
            assert time.monotonic() < deadline and parent.poll() is None
            time.sleep(0.1)
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
