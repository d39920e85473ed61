"""Sweeps whose dataset lies at a URL: what the driver needs of it, and what may not be a URL."""

from pathlib import Path
from typing import Any

import pytest

from search.plan import Plan
from search.records import read_experiment
from search.sweep import check, run_sweep
from search.sweep_file import dump_sweep, read_sweep
from tests.search_tests.example import FINGERPRINT, empty_dataset, sweep
from tests.search_tests.synthetic import SyntheticTrial
from trainables.config import TrialConfig
from trainables.errors import SweepError


@pytest.fixture
def url(tmp_path: Path) -> str:
    folder = empty_dataset(tmp_path / "bucket" / "dataset")
    for name in ("photos.csv", "excluded.csv"):
        (folder / name).write_text("")
    return folder.as_uri()


def test_the_datasets_url_reaches_trials_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("dataset: s3://bucket/dataset\nexperiment: runs/a\n")
    config = read_sweep(tmp_path / "a.yaml")
    assert config.dataset == "s3://bucket/dataset"
    assert Plan(config, 1).settings(0, TrialConfig())["run"]["dataset"] == "s3://bucket/dataset"
    (tmp_path / "b.yaml").write_text(dump_sweep(config))
    assert read_sweep(tmp_path / "b.yaml") == config


@pytest.mark.parametrize("override", ["experiment=s3://bucket/a", "store=gs://bucket/a"])
def test_nothing_else_may_be_a_url_and_nothing_is_written(override: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("dataset: data\n")
    key, _, place = override.partition("=")
    line = rf"^{key}: must be a folder, not the URL {place}; only the dataset may lie at a URL$"
    with pytest.raises(SweepError, match=line):
        read_sweep(tmp_path / "a.yaml", [override])
    assert [file.name for file in tmp_path.iterdir()] == ["a.yaml"]


def test_a_url_that_is_refused_shows_no_password(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("dataset: data\n")
    with pytest.raises(SweepError, match=r"not the URL s3://key:\*\*\*@bucket/a;"):
        read_sweep(tmp_path / "a.yaml", ["experiment=s3://key:SECRET@bucket/a"])


def test_the_driver_brings_no_photos(url: str, tmp_path: Path) -> None:
    config = sweep(tmp_path, dataset=url)
    dataset = check(config)
    assert (dataset.fingerprint, dataset.url) == (FINGERPRINT, url)
    assert dataset.folder == tmp_path / "store" / "datasets" / f"{FINGERPRINT}.lists"


def test_a_sweep_records_the_url_and_its_records_find_the_manifest_there(
    ray_here: None, url: str, tmp_path: Path
) -> None:
    config = sweep(tmp_path, dataset=url, trials=2)
    best = run_sweep(config, SyntheticTrial)
    assert (best.dataset, best.dataset_fingerprint) == (url, FINGERPRINT)
    manifest: Any = read_experiment(config.experiment).manifest
    assert manifest["fingerprint"] == FINGERPRINT and manifest["fractions"] == [0.7, 0.15, 0.15]


def test_records_can_be_read_when_the_bucket_cannot(ray_here: None, url: str, tmp_path: Path) -> None:
    config = sweep(tmp_path, dataset=url, trials=1)
    run_sweep(config, SyntheticTrial)
    (tmp_path / "bucket").rename(tmp_path / "gone")
    assert read_experiment(config.experiment).manifest is None
