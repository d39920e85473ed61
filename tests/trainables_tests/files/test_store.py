"""trainables/files/bucket.py: one contract, which folders and URLs pass alike."""

from pathlib import Path

import pytest

from trainables.errors import UserError
from trainables.files.bucket import Bucket, Folder, open_store


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def place(request: pytest.FixtureRequest, s3: None, tmp_path: Path) -> Path | str:
    name = f"store/{request.node.originalname}"
    places = {
        "folder": tmp_path / name,
        "file": f"{tmp_path.as_uri()}/{name}",
        "memory": f"memory://{name}",
        "s3": f"s3://bucket/{name}",
    }
    return places[request.param]


def put(store: Bucket | Folder, name: str, content: bytes) -> None:
    def write(file: Path) -> str:
        file.write_bytes(content)
        return name

    store.add(name[:1], write)


def test_what_is_put_is_listed_read_replaced_and_deleted(place: Path | str) -> None:
    store = open_store(place)
    assert store.sizes() == {} and store.read("a") is None
    put(store, "a", b"one")
    put(store, "b", b"three")
    put(store, "a", b"longer")
    assert store.sizes() == {"a": 6, "b": 5}
    assert (store.read("a"), store.read("b")) == (b"longer", b"three")
    store.delete("a")
    store.delete("a")
    store.clear_unfinished("b")
    assert open_store(place).sizes() == {"b": 5}


def test_a_bucket_that_is_not_there_is_one_line_and_not_an_empty_place(s3: None) -> None:
    with pytest.raises(UserError, match=r"^s3://nowhere/a: b cannot be written: .*"):
        put(open_store("s3://nowhere/a"), "b", b"")
