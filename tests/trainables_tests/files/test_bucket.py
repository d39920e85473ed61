"""trainables/files/bucket.py: files at URLs, on a real S3 server and with fsspec's own protocols."""

import json
from pathlib import Path

import boto3
import pytest

from trainables.errors import UserError
from trainables.files.bucket import Bucket, Folder, folder_or_url, is_url, open_bucket, open_store


@pytest.fixture(params=["s3", "file", "memory"])
def bucket(request: pytest.FixtureRequest, s3: None, tmp_path: Path) -> Bucket:
    places = {"s3": "s3://bucket/a/b", "file": f"{tmp_path.as_uri()}/a/b", "memory": "memory://a/b"}
    return open_bucket(f"{places[request.param]}/{request.node.originalname}/")


def sent(bucket: Bucket, folder: Path, name: str, content: bytes) -> None:
    (folder / "file").write_bytes(content)
    bucket.send(folder / "file", name)


def test_what_is_sent_comes_back_whole_and_listed(bucket: Bucket, tmp_path: Path) -> None:
    assert bucket.names() == []
    content = bytes(range(256)) * 40_000  # more than one block, and more than one part of an upload
    sent(bucket, tmp_path, "shard", content)
    sent(bucket, tmp_path, "below/manifest", b"{}")
    assert bucket.names() == ["below/manifest", "shard"]
    assert b"".join(bucket.blocks("shard")) == bucket.read("shard") == content


def test_sending_again_replaces(bucket: Bucket, tmp_path: Path) -> None:
    sent(bucket, tmp_path, "best", b"a longer content than the next")
    sent(bucket, tmp_path, "best", b"new")
    assert (bucket.read("best"), bucket.names()) == (b"new", ["best"])


def test_what_is_not_there_is_none_or_one_line(bucket: Bucket) -> None:
    assert bucket.read("nothing") is None
    with pytest.raises(UserError, match=rf"^{bucket.url}: nothing cannot be read: [^\n]+$"):
        list(bucket.blocks("nothing"))


def test_a_bucket_that_does_not_exist_is_one_line(s3: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^s3://nowhere/a: file cannot be written: .*NO_SUCH_BUCKET[^\n]*exist$"):
        sent(open_bucket("s3://nowhere/a"), tmp_path, "file", b"")
    assert open_bucket("s3://nowhere/a").read("manifest.json") is None


def test_a_place_without_permission_is_one_line(s3: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::closed/*"}
    client = boto3.client("s3")
    client.create_bucket(Bucket="closed")
    client.put_bucket_policy(Bucket="closed", Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]}))
    with pytest.raises(UserError, match=r"^s3://closed: manifest.json cannot be read: [^\n]*ACCESS_DENIED[^\n]*$"):
        open_bucket("s3://closed").read("manifest.json")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "nobody://x/y",
            r"nobody://x/y cannot be used: Protocol not known: nobody \(known are s3, gs, abfs, file.*\)",
        ),
        ("dropbox://x/y", r"dropbox://x/y: a package for dropbox:// is missing: .*dropboxdrivefs.*"),
        ("abfs://x", r"abfs://x cannot be used: AzureOptions doesn't contain a valid account name .*"),
        ("s3://[bucket/a", r"s3://\[bucket/a is no URL: Invalid IPv6 URL"),
        ("s3://KEY:SECRET@bucket/a", "a URL of s3:// holds credentials, .* a profile or the machine's role"),
        ("abfs://c@a.example/x?sas_token=SECRET", "a URL of abfs:// holds credentials, .*"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_without_secrets(url: str, line: str) -> None:
    with pytest.raises(UserError, match=f"^{line}$") as refused:
        open_bucket(url)
    assert "SECRET" not in str(refused.value) and "\n" not in str(refused.value)


def test_places_are_urls_or_folders() -> None:
    assert folder_or_url("s3://bucket/dataset") == "s3://bucket/dataset"
    assert folder_or_url("runs/dataset") == Path("runs/dataset")
    assert is_url("gs://b") and not is_url("C:/x") and not is_url(Path("s3://b"))


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


def test_what_a_killed_process_left_is_found_by_its_letters(tmp_path: Path) -> None:
    for name in (".a[1].partial-1", ".a1.partial-1"):
        (tmp_path / name).touch()
    open_store(tmp_path).clear_unfinished("a[1]")
    assert [file.name for file in tmp_path.iterdir()] == [".a1.partial-1"]


def test_a_bucket_that_is_not_there_is_one_line_and_not_an_empty_place(s3: None) -> None:
    with pytest.raises(UserError, match=r"^s3://nowhere/a: b cannot be written: .*"):
        put(open_store("s3://nowhere/a"), "b", b"")
