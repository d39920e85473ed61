"""Sweeps whose dataset or experiment lies at a URL: what the driver needs of it, and what may not be a URL."""

from pathlib import Path
from typing import Any

import pytest

from search.config.file import dump_sweep, read_sweep
from search.config.trial_plan import Plan
from search.records import read_experiment
from search.resume import resume_sweep
from search.sweep import check, run_sweep
from tests.search_tests.example import FINGERPRINT, empty_dataset, sweep
from tests.search_tests.synthetic import SyntheticTrial
from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.files.bucket import open_store
from trainables.training.checkpoint import newest_first


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
    assert Plan(config, 1).settings(0, TrialConfig())["run"].dataset == "s3://bucket/dataset"
    (tmp_path / "b.yaml").write_text(dump_sweep(config))
    assert read_sweep(tmp_path / "b.yaml") == config


def test_an_experiment_at_a_url_is_one_in_a_folder_with_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("dataset: data\n")
    config = read_sweep(tmp_path / "a.yaml", ["experiment=s3://bucket/deep/first/"])
    assert (config.experiment, config.mirror) == (str(tmp_path / "runs" / "first"), "s3://bucket/deep/first")
    (tmp_path / "b.yaml").write_text(dump_sweep(config))
    assert read_sweep(tmp_path / "b.yaml") == config
    elsewhere = read_sweep(tmp_path / "a.yaml", ["experiment=disk/first", "mirror=s3://bucket/deep/first"])
    assert (elsewhere.experiment, elsewhere.mirror) == (str(tmp_path / "disk" / "first"), "s3://bucket/deep/first")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["store=gs://b/a"], "store: must be a folder, not the URL gs://b/a; only the dataset and the experiment may"),
        (["experiment=s3://b/a", "mirror=s3://b/c"], "mirror: is for an experiment in a folder; this one is at a URL"),
        (["mirror=/mnt/a"], "mirror: must be a URL such as s3://bucket/first, not '/mnt/a'"),
        (["mirror=3"], "mirror: must be a URL such as s3://bucket/first, not '3'"),
        (["experiment=s3://b"], "s3://b names no folder; an experiment's URL is such as s3://bucket/first"),
        (["experiment=s3://key:SECRET@b/a"], "a URL of s3:// holds credentials, and would be written into records"),
        (["store=s3://key:SECRET@b/a"], r"store: must be a folder, not the URL s3://key:\*\*\*@b/a; only"),
        (["warm_start=[s3://b/a]"], r"warm_start\[0\]"),
    ],
)
def test_what_cannot_be_is_one_line_without_a_password_and_nothing_is_written(
    overrides: list[str], line: str, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("dataset: data\n")
    with pytest.raises(UserError, match=f"^{line}") as caught:
        read_sweep(tmp_path / "a.yaml", overrides)
    assert "SECRET" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.yaml"]


def test_checkpoints_lie_below_the_mirror_apart_for_each_configuration_of_a_number(tmp_path: Path) -> None:
    """A number may come again with another configuration, when the study at the URL had not heard of its trial."""
    plan = Plan(sweep(tmp_path, mirror="s3://bucket/first"), 1)
    first, other = plan.trial_config(3, {"dropout": 0.1}), plan.trial_config(3, {"dropout": 0.2})
    longer = first.model_copy(update={"epochs": 99})
    places = [plan.checkpoint_place(3, trial) for trial in (first, other, longer, first)]
    assert len(set(places)) == 3 and places[0] == places[3]
    assert all(place.startswith("s3://bucket/first/checkpoints/0003/") for place in places)
    assert plan.settings(3, first, known_epochs=2)["run"].known_epochs == 2
    assert Plan(sweep(tmp_path), 1).checkpoint_place(3, first) == str(tmp_path / "experiment" / "trials" / "0003")


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


def test_a_sweep_at_a_url_goes_on_on_another_machine_and_is_read_from_there(
    ray_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = (tmp_path / "bucket" / "first").as_uri()
    config = sweep(tmp_path, trials=2, mirror=mirror, checkpoint_every=1)
    run_sweep(config, SyntheticTrial)
    assert f"works in {config.experiment}, and brings its records to {mirror}" in capsys.readouterr().out
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    before = read_experiment(mirror)
    assert before.ended and len(before.trials) == 2
    best, went_on = resume_sweep(mirror, ["trials=3"], SyntheticTrial)
    there = read_experiment(mirror)
    assert went_on and there.best == best and there.provenance["resumed"]
    assert [trial.values for trial in there.trials[:2]] == [trial.values for trial in before.trials]
    assert all(len(trial.epochs) == 9 for trial in there.trials) and len(there.trials) == 3
    held = [name[:4] for name in newest_first(open_store(f"{mirror}/checkpoints").sizes())]
    assert held == [f"{best.trial:04d}"] * 2
    assert resume_sweep(mirror, [], SyntheticTrial) == (best, False)
    with pytest.raises(UserError, match=r"experiment is older than file.*`python -m search resume file:.* goes on"):
        resume_sweep(Path(config.experiment), ["trials=4"], SyntheticTrial)


def test_records_can_be_read_when_the_bucket_cannot(ray_here: None, url: str, tmp_path: Path) -> None:
    config = sweep(tmp_path, dataset=url, trials=1)
    run_sweep(config, SyntheticTrial)
    (tmp_path / "bucket").rename(tmp_path / "gone")
    assert read_experiment(config.experiment).manifest is None
