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
    Inspection,
    inspect_file,
    inspect_files,
)


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
