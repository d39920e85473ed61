"""trainables/data/ledger.py: every reading of the test photos is kept, and none costs a final stage."""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from trainables.data.dataset import Dataset, open_dataset
from trainables.data.ledger import READINGS, record_reading, times_read


@pytest.fixture
def dataset(small_dataset: Dataset, tmp_path: Path) -> Dataset:
    shutil.copytree(small_dataset.folder, tmp_path / "dataset", ignore=shutil.ignore_patterns(READINGS))
    return open_dataset(tmp_path / "dataset")


def test_each_reading_gets_those_before_it_and_stays_as_it_was_written(dataset: Dataset) -> None:
    said: list[str] = []
    assert record_reading(dataset, "/runs/first", "final stage", said.append) == []
    [first] = record_reading(dataset, "/runs/second", "probe", said.append)
    assert (first.experiment, first.purpose, first.fingerprint) == ("/runs/first", "final stage", dataset.fingerprint)
    assert [found.experiment for found in record_reading(dataset, "x", "probe", said.append)] == [
        *("/runs/first", "/runs/second")
    ]
    assert said == []
    files = sorted((dataset.folder / READINGS).iterdir())
    assert [json.loads(file.read_text())["experiment"] for file in files] == ["/runs/first", "/runs/second", "x"]
    assert "were read once before, last on " in times_read([first]) and "by first (final stage)" in times_read([first])


def test_writers_at_the_same_time_lose_nothing(dataset: Dataset) -> None:
    def write(number: int) -> None:
        for turn in range(10):
            record_reading(dataset, f"{number}-{turn}", "final stage", lambda line: None)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(record_reading(dataset, "last", "probe", lambda line: None)) == 80


def test_a_ledger_that_cannot_be_written_costs_a_line(dataset: Dataset) -> None:
    said: list[str] = []
    (dataset.folder / READINGS).write_text("a file where the folder should be, as on a disk that only gives")
    assert record_reading(dataset, "x", "final stage", said.append) == []
    [line] = said
    assert line.startswith(f"this reading of test is not in the ledger of {dataset.folder}")


def test_readings_of_other_photos_and_damaged_ones_do_not_count(dataset: Dataset) -> None:
    other = replace(dataset, manifest=dataset.manifest.model_copy(update={"fingerprint": "another"}))
    record_reading(other, "other", "final stage", lambda line: None)
    (dataset.folder / READINGS / "damaged.json").write_text("{")
    assert record_reading(dataset, "x", "final stage", lambda line: None) == []


def test_the_ledger_of_a_dataset_at_a_url_lies_there(dataset: Dataset, tmp_path: Path) -> None:
    there = replace(dataset, url=f"file://{tmp_path}/bucket")
    said: list[str] = []
    record_reading(there, "first", "final stage", said.append)
    assert [found.experiment for found in record_reading(there, "second", "probe", said.append)] == ["first"]
    assert said == [] and len(list((tmp_path / "bucket" / READINGS).iterdir())) == 2
    assert not (dataset.folder / READINGS).exists()
