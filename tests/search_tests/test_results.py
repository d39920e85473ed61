"""search/results.py: what is handed over."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from search.config.schema import SweepConfig
from search.results import front_trials, summarise, write_results
from search.study.storage import open_storage
from search.study.study import open_study, report, tell_end
from search.study.trial_end import Stop
from tests.probe_example import probe_record
from tests.search_tests.example import FINGERPRINT, sweep
from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.handoff import read_handoff

MAX, ASHA, FAILED = Stop("max_epochs", 3, "ran"), Stop("asha", 1, "too low"), Stop("failed", 2, "loss was nan")


def study_of(config: SweepConfig, *trials: tuple[Stop, list[float]], costs: Sequence[float] = ()):  # type: ignore[no-untyped-def]
    Path(config.experiment).mkdir(parents=True)
    study = open_study(config, FINGERPRINT, open_storage(Path(config.experiment)), join=False)
    for number, (stop, values) in enumerate(trials):
        trial = study.ask()
        trial.set_user_attr("config", TrialConfig(dropout=number / 10).model_dump())
        for epoch, value in enumerate(values, start=1):
            report(trial, epoch, value)
        cost = costs[number] if costs else 0.0
        attrs = {"cost": cost} if costs else {}
        tell_end(study, number, dict(enumerate(values, start=1)), stop, config.mode, attrs, cost=cost)
    return study


@pytest.mark.parametrize(
    ("kind", "saved"),
    [
        *(("asha", 6), ("hyperband", 6), ("median", 6), ("early_stopping", 6)),
        *(("max_epochs", 0), ("failed", 0), ("diverged", 0), ("budget", 0), ("interrupted", 0)),
    ],
)
def test_only_epochs_that_early_stopping_left_out_are_saved(tmp_path: Path, kind: str, saved: int) -> None:
    """Of the 9 that the trial began with, though the sweep was raised to 30 since."""
    config = sweep(tmp_path, trial={"epochs": 30})
    study = study_of(config, (Stop(kind, 3, "it ended"), [0.1, 0.2, 0.3]))
    summary = summarise(study.get_trials(), config, "all trials ended", 1.0)
    assert (summary["epochs_run"], summary["epochs_saved"]) == (3, saved)


def test_the_best_epoch_of_the_best_trial_is_handed_over_with_where_it_came_from(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    study = study_of(config, (MAX, [0.2, 0.5, 0.4]), (ASHA, [0.1]), (FAILED, [0.9]))
    handoff = write_results(study, config, FINGERPRINT, "all trials ended", 12.34)
    assert (handoff.trial, handoff.epoch, handoff.score) == (0, 2, 0.5)
    assert handoff.config == TrialConfig(dropout=0.0)
    assert (handoff.study, handoff.dataset_fingerprint, handoff.weights) == ("test", FINGERPRINT, {"requested": "auto"})
    folder = Path(config.experiment)
    assert read_handoff(folder / "best.json") == handoff
    assert json.loads((folder / "sweep_summary.json").read_text()) == {
        "format": 1,
        "ended_because": "all trials ended",
        "trials": {"COMPLETE": 1, "PRUNED": 1, "FAIL": 1},
        "stopped_by": {"max_epochs": 1, "asha": 1, "failed": 1},
        "epochs_run": 3 + 1 + 2,
        "epochs_saved": 8,
        "wall_seconds": 12.3,
        "best_trial": 0,
        "best_value": 0.5,
        "best_epoch": 2,
        "step_seconds": 0,
        "store": {"rows": 0, "filled": 0, "filled_bytes": 0, "fill_seconds": 0.0, "seconds": None},
        "forecast": None,
        "probe": None,
        "repeats": 0,
    }


def test_the_probe_of_the_study_is_handed_over_too(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    study = study_of(config, (MAX, [0.2]))
    study.set_user_attr("probe", probe_record().model_dump(mode="json"))
    assert write_results(study, config, FINGERPRINT, "all trials ended", 1.0).probe == probe_record()
    summary = json.loads((Path(config.experiment) / "sweep_summary.json").read_text())
    assert summary["probe"]["val_macro_f1"] == 0.865


def test_of_two_objectives_every_trial_of_the_front_is_handed_over_and_the_best_of_them_as_ever(tmp_path: Path) -> None:
    config = sweep(tmp_path, objectives=["val_macro_f1", "model_mb"])
    reported = [(MAX, [0.2, 0.5]), (MAX, [0.3]), (ASHA, [0.4]), (FAILED, [0.9]), (MAX, [0.1])]
    study = study_of(config, *reported, costs=[90.0, 30.0, 90.0, 10.0, 40.0])
    best = write_results(study, config, FINGERPRINT, "all trials ended", 1)
    folder = Path(config.experiment)
    assert (best.trial, best.score, best.costs) == (0, 0.5, {"model_mb": 90.0})
    assert sorted(file.name for file in (folder / "pareto").iterdir()) == ["trial_0000.json", "trial_0001.json"]
    assert read_handoff(folder / "pareto" / "trial_0000.json") == best == read_handoff(folder / "best.json")
    smaller = read_handoff(folder / "pareto" / "trial_0001.json")
    assert (smaller.score, smaller.costs, smaller.config.dropout) == (0.3, {"model_mb": 30.0}, 0.1)
    assert json.loads((folder / "sweep_summary.json").read_text())["front"] == [
        {"trial": 0, "value": 0.5, "epoch": 2, "cost": 90.0},
        {"trial": 1, "value": 0.3, "epoch": 1, "cost": 30.0},
    ]


def test_a_trial_cut_off_by_the_sweeps_end_may_be_the_best(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    cut_off = Stop("interrupted", 2, "stopped by Ctrl-C")
    study = study_of(config, (MAX, [0.2, 0.5, 0.4]), (cut_off, [0.7, 0.6]))
    assert write_results(study, config, FINGERPRINT, "stopped by Ctrl-C", 1).score == 0.7


def test_a_minimised_metric_hands_over_its_smallest(tmp_path: Path) -> None:
    config = sweep(tmp_path, metric="val_loss")
    study = study_of(config, (MAX, [2.0, 1.0, 1.5]), (MAX, [0.9, 1.2, 1.4]), (FAILED, [0.1]))
    assert [trial.number for trial in front_trials(study.get_trials(), config)] == [1]
    assert summarise(study.get_trials(), config, "", 0)["best_value"] == 0.9


def test_without_a_result_the_first_failure_is_said_and_no_marker_is_written(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    study = study_of(config, (Stop("failed", None, "RuntimeError: the weights are damaged"), []), (FAILED, [0.9]))
    with pytest.raises(UserError) as caught:
        write_results(study, config, FINGERPRINT, "all trials ended", 1)
    assert str(caught.value) == "no trial has a result (2 began); trial 0: RuntimeError: the weights are damaged"
    assert not list(Path(config.experiment).glob("*.json"))


def test_without_a_trial_that_is_said(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    with pytest.raises(UserError, match="ended before its first trial began"):
        write_results(study_of(config), config, FINGERPRINT, "stopped by Ctrl-C", 1)
