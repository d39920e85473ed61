"""trainables/files/remote_experiment.py: an experiment's records, copied from a URL to a folder."""

from pathlib import Path

import pytest

from trainables.errors import UserError
from trainables.files.bucket import open_bucket
from trainables.files.remote_experiment import (
    check_free_there,
    handoff_here,
    local_copy,
    model_here,
    send_final,
    working_folder,
)


@pytest.fixture(params=["file", "memory", "s3"])
def url(request: pytest.FixtureRequest, s3: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    name = f"records/{request.node.originalname}"
    places = {"file": f"{tmp_path.as_uri()}/{name}", "memory": f"memory://{name}", "s3": f"s3://bucket/{name}"}
    place = places[request.param]
    bucket = open_bucket(place)
    for file in ("sweep.yaml", "best.json", "trials/0000/epochs.jsonl", "checkpoints/0000/ab/e.npz", "driver.json"):
        bucket.put(file.encode(), file)
    return place


def files(folder: Path) -> dict[str, str]:
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return {name: file.read_text() for name, file in sorted(found.items()) if not name.startswith(".")}


def test_a_copy_holds_the_records_and_neither_checkpoints_nor_the_drivers_note(url: str) -> None:
    folder = local_copy(url)
    assert folder.parent == Path("runs").absolute()
    assert files(folder) == {name: name for name in ("best.json", "sweep.yaml", "trials/0000/epochs.jsonl")}


def test_made_again_it_follows_the_url_and_keeps_what_was_made_of_it(url: str) -> None:
    folder = local_copy(url)
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text("mine")
    bucket = open_bucket(url)
    bucket.put(b"changed", "sweep.yaml")
    bucket.put(b"new", "sweep_summary.json")
    bucket.delete("best.json")
    assert local_copy(f"{url}/") == folder
    assert files(folder) == {
        "report/index.html": "mine",
        "sweep.yaml": "changed",
        "sweep_summary.json": "new",
        "trials/0000/epochs.jsonl": "trials/0000/epochs.jsonl",
    }


def test_two_urls_of_one_name_have_two_copies_and_a_folder_is_itself(url: str) -> None:
    other = f"{url}/below/{working_folder(url).name}"
    open_bucket(other).put(b"other", "sweep.yaml")
    assert local_copy(other) != local_copy(url)
    assert local_copy("runs/first") == Path("runs/first") and local_copy(Path("a")) == Path("a")


def test_a_handoff_is_read_there_and_the_final_stage_sent_beside_it(url: str) -> None:
    open_bucket(url).put(b"front", "pareto/trial_0007.json")
    file, bucket = handoff_here(f"{url}/pareto/trial_0007.json")
    assert file.read_text() == "front" and bucket is not None and bucket.url == url
    assert handoff_here(Path("best.json")) == (Path("best.json"), None)
    check_free_there(bucket, "final")
    final = file.parent.parent / "final"
    for folder in (final / "pictures", file.parent.parent / "tensorboard" / "final"):
        folder.mkdir(parents=True)
        (folder / "a").write_text("a")
    (final / "metrics.json").write_text("{}")
    send_final(bucket, final)
    there = {"final/metrics.json", "final/pictures/a", "tensorboard/final/a"}
    assert there <= set(bucket.names())
    with pytest.raises(UserError, match=r"/final is not empty; delete it first"):
        check_free_there(bucket, "final")


def test_a_model_is_brought_with_what_lies_beside_it_whether_its_folder_or_itself_is_named(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = open_bucket(f"{url}/final")
    bucket.put(b"weights", "model.keras")
    bucket.put(b"labels", "labels.json")
    folder = model_here(f"{url}/final")
    assert files(folder) == {"labels.json": "labels", "model.keras": "weights"}
    assert model_here(f"{url}/final/model.keras") == folder / "model.keras"
    assert capsys.readouterr().out == f"model        {folder} (a copy of {url}/final)\n" * 2
    bucket.put(b"better", "model.keras")
    assert model_here(f"{url}/final/model.keras").read_text() == "better"
    assert model_here(Path("final/model.keras")) == Path("final/model.keras")
    with pytest.raises(UserError, match=r"/none holds no model, or there is no such bucket; `python -m trainables re"):
        model_here(f"{url}/none")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("s3://bucket", r"^s3://bucket names no folder; an experiment's URL is such as s3://bucket/first$"),
        ("s3://key:SECRET@bucket/first", r"^a URL of s3:// holds credentials"),
        ("s3://bucket/nothing", r"^s3://bucket/nothing holds no experiment, or there is no such bucket"),
        ("nosuch://bucket/first", r"^nosuch://bucket/first cannot be used"),
    ],
)
def test_what_is_no_experiment_is_one_line_and_nothing_is_written(
    place: str, line: str, s3: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=line) as caught:
        local_copy(place)
    assert "SECRET" not in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_leads_out_of_the_folder_is_left_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bucket = open_bucket("memory://records/odd")
    bucket.put(b"whole", "sweep.yaml")
    bucket.put(b"evil", "a/../../../evil")
    bucket.put(b"evil", ".brought.json")
    assert files(local_copy("memory://records/odd")) == {"sweep.yaml": "whole"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
