"""search/tune/probe.py: the probe on Ray, its records, and what happens when it fails."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.config.schema import SweepConfig
from search.config.trial_plan import Plan
from search.study.storage import open_storage
from search.study.study import open_study
from search.tune.probe import probe_config, probe_of, probed, read_probe, whole_share
from search.tune.resources import Node, Share
from tests.probe_example import probe_record
from tests.search_tests.example import FINGERPRINT, sweep
from tests.search_tests.synthetic_probe import FakeProber
from trainables.errors import UserError

PART = Share(concurrent=1, threads=1, gpus=0)


def begun(folder: Path, **changes: Any) -> tuple[Plan, optuna.Study]:
    """A sweep before its first trial, and its study."""
    config = sweep(folder, **changes)
    Path(config.experiment).mkdir(parents=True)
    return Plan(config, 1), open_study(config, FINGERPRINT, open_storage(Path(config.experiment)), join=False)


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch, ray_here: None) -> None:
    monkeypatch.setattr("search.tune.probe.Prober", FakeProber)


def test_it_is_found_once_and_kept_in_the_experiment_and_in_the_study(
    faked: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, study = begun(tmp_path)
    record = probed(plan, PART, study)
    assert record is not None and record == read_probe(plan.experiment)
    assert (plan.experiment / "probe" / "solution.npz").read_text() == "solution"
    kept = probe_of(study)
    assert kept is not None and kept == record.model_copy(update={"tried": ()})
    written = json.loads((plan.experiment / "probe" / "probe.json").read_text())
    assert (written["val_macro_f1"], written["config"]["image_size"], written["tried"]) == (
        *(0.865, 75),
        [{"strength": 0.01}],
    )
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "probe        begins: a classifier on what inception_v3 sees at 75 pixels",
        "probe        logistic regression on mixed9 + mixed10: validation macro F1 0.865, 190 s",
    ]
    assert said.err == "warning: inception_v3 starts from random weights\n"
    assert probed(plan, PART, study) == record
    assert capsys.readouterr().out == ""


def test_a_study_that_is_joined_brings_its_probe_along(faked: None, tmp_path: Path) -> None:
    plan, study = begun(tmp_path)
    record = probe_record()
    study.set_user_attr("probe", record.model_dump(mode="json"))
    assert probed(plan, PART, study) == record == read_probe(plan.experiment)
    assert not (plan.experiment / "probe" / "solution.npz").exists()


def test_half_a_record_that_a_mirror_brought_is_written_anew(faked: None, tmp_path: Path) -> None:
    plan, study = begun(tmp_path)
    (plan.experiment / "probe").mkdir()
    (plan.experiment / "probe" / "solution.npz").write_text("old")
    assert probed(plan, PART, study) is not None
    assert (plan.experiment / "probe" / "solution.npz").read_text() == "solution"


@pytest.mark.parametrize(
    ("name", "why"),
    [("few", "the probe needs two families with photos"), ("killed", "its worker was lost")],
)
def test_a_probe_that_fails_is_one_line_and_tried_again_by_the_next_driver(
    faked: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    plan, study = begun(tmp_path / name)
    assert probed(plan, PART, study) is None
    # Ray may say something of a lost process too.
    line = [said for said in capsys.readouterr().out.splitlines() if said.startswith("probe")][-1]
    assert line.startswith(f"probe        none: {why}") and line.endswith("; the sweep goes on without it")
    assert read_probe(plan.experiment) is None and probe_of(study) is None
    assert not (plan.experiment / "probe").exists()


def test_what_every_trial_would_meet_ends_the_sweep(faked: None, tmp_path: Path) -> None:
    plan, study = begun(tmp_path / "hopeless")
    with pytest.raises(UserError, match=r"^weights: w\.h5 does not fit inception_v3$"):
        probed(plan, PART, study)


def test_a_sweep_without_a_probe_starts_nothing(tmp_path: Path) -> None:
    plan, study = begun(tmp_path, probe=False)
    assert probed(plan, PART, study) is None


def chosen(config: SweepConfig) -> tuple[Any, ...]:
    trial, first = probe_config(config)
    return trial.backbone, trial.image_size, trial.imbalance, trial.sweep_seed, first


def test_of_what_is_searched_it_takes_the_first_choice(tmp_path: Path) -> None:
    space = {"backbone": ["mobilenet_v2", "inception_v3"], "image_size": {"low": 96, "high": 139}, "dropout": [0.1]}
    config = sweep(tmp_path, space=space, trial={"imbalance": "none", "epochs": 1}, seed=4)
    first = {"backbone": "mobilenet_v2", "image_size": 96}
    assert chosen(config) == ("mobilenet_v2", 96, "none", 4, first)


@pytest.mark.parametrize(
    ("part", "threads", "gpus"),
    [
        (Share(2, 2, 0), 16, 0),
        (Share(4, 2, 0.5), 4, 1.0),
        (Share(1, 4, 2), 8, 2),
        (Share(1, 32, 0), 32, 0),  # More than any node has by now: what the trials ask for.
    ],
)
def test_it_gets_a_node_to_itself_or_a_whole_gpu(part: Share, threads: int, gpus: float) -> None:
    whole = whole_share(part, [Node(16, 4), Node(8, 0)])
    assert (whole.threads, whole.gpus) == (threads, gpus)
