import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.trainables_tests.data.test_commands import run
from tests.trainables_tests.drawn_photos import write_photos
from tests.trainables_tests.training_example import make_worker, unread
from trainables.config import RunSettings
from trainables.data.dataset import (
    MANIFEST,
    PHOTOS,
    SPLITS,
    Dataset,
    Photo,
    fingerprint_of,
    open_dataset,
    open_dataset_at,
    read_manifest,
    sent_to,
)
from trainables.data.ledger import record_reading
from trainables.data.shards import read_split
from trainables.errors import UserError
from trainables.files.bucket import Bucket, open_bucket
from trainables.trial import warm_worker


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


@pytest.fixture
def url(s3: None, small_dataset: Dataset, tmp_path: Path) -> str:
    place = f"s3://bucket/{tmp_path.name}"
    with sent_to(place) as folder:
        shutil.copytree(unread(small_dataset).folder, folder)
    return place


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of all files that are brought during the test."""
    names: list[str] = []
    whole = Bucket.blocks

    def blocks(self: Bucket, name: str) -> Iterator[bytes]:
        names.append(name)
        return whole(self, name)

    monkeypatch.setattr(Bucket, "blocks", blocks)
    yield names


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def replaced(url: str, name: str, content: bytes, folder: Path) -> None:
    (folder / "content").write_bytes(content)
    open_bucket(url).send(folder / "content", name)


def test_it_is_the_same_dataset_in_a_folder_named_by_its_fingerprint(
    url: str, small_dataset: Dataset, tmp_path: Path
) -> None:
    dataset = open_dataset_at(url, tmp_path)
    assert dataset.folder == tmp_path / "datasets" / small_dataset.fingerprint
    assert (dataset.manifest, dataset.url) == (small_dataset.manifest, url)
    for split in ("train", "validation", "test"):
        assert list(read_split(dataset, split)) == list(read_split(small_dataset, split))


def test_processes_that_ask_at_once_and_later_share_one_copy(url: str, tmp_path: Path, brought: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = {dataset.folder for dataset in pool.map(lambda _: open_dataset_at(url, tmp_path), range(4))}
    open_dataset_at(url, tmp_path)
    assert len(folders) == 1
    assert len(brought) == len(set(brought)) == len(files(folders.pop())) - 1  # the manifest is read, not brought


def test_who_trains_nothing_brings_no_photo(url: str, small_dataset: Dataset, tmp_path: Path) -> None:
    dataset = open_dataset_at(url, tmp_path, lists_only=True)
    assert files(dataset.folder) == ["excluded.csv", "manifest.json", "photos.csv"]
    assert dataset.photos("train") == small_dataset.photos("train")
    whole = open_dataset_at(url, tmp_path)
    assert open_dataset_at(url, tmp_path, lists_only=True).folder == whole.folder != dataset.folder


def test_a_copy_that_was_broken_off_is_begun_anew_and_its_rest_removed(
    url: str, small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = tmp_path / "datasets" / f".{small_dataset.fingerprint}.partial-1"
    rest.mkdir(parents=True)
    (rest / "train-00000-of-00001.tfrecord").write_bytes(b"half")
    dataset = open_dataset_at(url, tmp_path)
    assert len(list(read_split(dataset, "train"))) == len(small_dataset.photos("train"))
    assert not rest.exists()


def test_a_shard_that_was_changed_is_one_line_and_nothing_is_kept(
    url: str, small_dataset: Dataset, tmp_path: Path
) -> None:
    shard = small_dataset.manifest.shards[0].file
    replaced(url, shard, (small_dataset.folder / shard).read_bytes()[:-1] + b"!", tmp_path)
    line = rf"^{url}/{shard} is not what was prepared: its SHA-256 differs from manifest.json's; prepare it again$"
    with pytest.raises(UserError, match=line):
        open_dataset_at(url, tmp_path / "store")
    assert [file for file in files(tmp_path / "store" / "datasets") if not file.endswith(".lock")] == []


@pytest.mark.parametrize("key", ["fingerprint", "shard"])
@pytest.mark.parametrize("name", ["../../escaped", "..", ""])
def test_a_manifest_that_leads_out_of_the_folder_is_refused(
    url: str, key: str, name: str, small_dataset: Dataset, tmp_path: Path
) -> None:
    manifest = json.loads((small_dataset.folder / MANIFEST).read_text())
    if key == "shard":
        manifest["shards"][0]["file"] = name
    else:
        manifest["fingerprint"] = name
    replaced(url, MANIFEST, json.dumps(manifest).encode(), tmp_path)
    with pytest.raises(UserError, match=rf"manifest.json is damaged: '{name}' is no file's name"):
        open_dataset_at(url, tmp_path / "a" / "b")


def test_what_is_no_dataset_is_one_line(s3: None, tmp_path: Path) -> None:
    line = r"^s3://bucket/nothing holds no manifest.json, or there is no such bucket; `.*` makes a dataset there$"
    with pytest.raises(UserError, match=line):
        open_dataset_at("s3://bucket/nothing", tmp_path)
    replaced("s3://bucket/other", MANIFEST, b"{}", tmp_path)
    with pytest.raises(UserError, match=r"^s3://bucket/other/manifest.json is damaged: .*prepare it again$"):
        read_manifest(open_bucket("s3://bucket/other"))


def test_the_manifest_is_sent_last(s3: None, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(Bucket, "check_writable", lambda _: None)
    monkeypatch.setattr(Bucket, "send", lambda _, file, name: sent.append(name))
    with sent_to("s3://bucket/order") as folder:
        shutil.copytree(unread(small_dataset).folder, folder)
    assert sorted(sent) == files(small_dataset.folder)
    assert sent[-1] == MANIFEST


def test_a_dataset_is_sent_with_the_ledger_of_its_test_photos(
    s3: None, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sent_to("s3://bucket/ledger") as folder:
        shutil.copytree(unread(small_dataset).folder, folder)
        record_reading(open_dataset(folder), "runs/first", "probe", print)
    sent = open_bucket("s3://bucket/ledger").names()
    assert {name.partition("/")[0] for name in sent} == {*files(small_dataset.folder), "test_readings"}


def test_prepare_and_check_take_urls(s3: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "photos", {"a": 12, "b": 8})
    (tmp_path / "photos/a/broken.jpg").write_bytes(b"x")
    words = ("prepare", tmp_path / "photos", "s3://bucket/prepared", "--workers", 1)
    assert run(*words) == 0
    reported = capsys.readouterr().out
    assert "each is listed in s3://bucket/prepared/excluded.csv" in reported
    assert "photos in s3://bucket/prepared; fingerprint" in reported
    assert run("check", "s3://bucket/prepared") == 0
    assert "the splits are disjoint" in capsys.readouterr().out
    assert run(*words) == 2
    assert capsys.readouterr().err.startswith("error: s3://bucket/prepared is not empty (excluded.csv, manifest.json,")


def test_prepare_says_that_it_cannot_write_there_before_it_looks_at_photos(
    s3: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "photos", {"a": 3, "b": 3})
    assert run("prepare", tmp_path / "photos", "s3://nowhere/set") == 2
    reported = capsys.readouterr()
    assert reported.out == ""
    assert (
        reported.err.startswith("error: s3://nowhere/set: .writable cannot be written: ")
        and reported.err.count("\n") == 1
    )


@pytest.mark.parametrize("words", [("prepare", "photos", "nobody://x"), ("check", "nobody://x")])
def test_commands_refuse_an_unknown_protocol_in_one_line(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: nobody://x cannot be used") and error.count("\n") == 1


def test_a_trial_brings_its_dataset_to_its_nodes_store(url: str, small_dataset: Dataset, tmp_path: Path) -> None:
    worker = warm_worker(RunSettings(trial=0, dataset=url, store=tmp_path, threads=1, checkpoint_dir="", plan=(0,)))
    assert worker.dataset.folder == tmp_path / "datasets" / small_dataset.fingerprint
    photos, same = (source.photos("validation", 32) for source in (worker, make_worker(small_dataset, tmp_path)))
    assert len(photos) == len(same) and photos.labels.tolist() == same.labels.tolist()
