"""trainables/files/file_store.py: one contract, which folders and URLs pass alike."""

from pathlib import Path

import pytest

from trainables.errors import UserError
from trainables.files.file_store import FileStore, open_shelf


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def place(request: pytest.FixtureRequest, s3: None, tmp_path: Path) -> Path | str:
    name = f"shelf/{request.node.originalname}"
    places = {
        "folder": tmp_path / name,
        "file": f"{tmp_path.as_uri()}/{name}",
        "memory": f"memory://{name}",
        "s3": f"s3://bucket/{name}",
    }
    return places[request.param]


def put(shelf: FileStore, name: str, content: bytes) -> None:
    def write(file: Path) -> str:
        file.write_bytes(content)
        return name

    shelf.put(name[:1], write)


def test_what_is_put_is_listed_read_replaced_and_deleted(place: Path | str) -> None:
    shelf = open_shelf(place)
    assert shelf.sizes() == {} and shelf.read("a") is None
    put(shelf, "a", b"one")
    put(shelf, "b", b"three")
    put(shelf, "a", b"longer")
    assert shelf.sizes() == {"a": 6, "b": 5}
    assert (shelf.read("a"), shelf.read("b")) == (b"longer", b"three")
    shelf.delete("a")
    shelf.delete("a")
    shelf.clear_unfinished("b")
    assert open_shelf(place).sizes() == {"b": 5}


def test_a_bucket_that_is_not_there_is_one_line_and_not_an_empty_place(s3: None) -> None:
    with pytest.raises(UserError, match=r"^s3://nowhere/a: b cannot be written: .*"):
        put(open_shelf("s3://nowhere/a"), "b", b"")
