import hashlib
from pathlib import Path

import pytest

from tests.trainables_tests.drawn_photos import write_photos
from trainables.data.photo_files import Inspection, Problem, inspect_file, inspect_files


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("photos")
    sources = write_photos(root, {"a": 130})
    (root / sources[7]).write_bytes(b"")
    return root, sources


def test_a_photo_is_described_by_its_bytes_and_its_size_as_shown(photos: tuple[Path, list[str]]) -> None:
    root, sources = photos
    image = (root / sources[0]).read_bytes()
    seen = inspect_file(root, sources[0])
    assert isinstance(seen, Inspection)
    assert seen[:4] == (hashlib.sha256(image).hexdigest(), len(image), 96, 72)


def test_worker_processes_see_what_one_process_sees_in_the_same_order(photos: tuple[Path, list[str]]) -> None:
    root, sources = photos
    assert list(inspect_files(root, sources, workers=2)) == list(inspect_files(root, sources, workers=1))


def test_what_cannot_be_read_is_a_problem_not_an_error(photos: tuple[Path, list[str]]) -> None:
    root, sources = photos
    assert inspect_file(root, sources[7]) == Problem("empty", "the file has no bytes")
    assert inspect_file(root, "a/gone.jpg") == Problem("unreadable", "No such file or directory")
