"""search/records.py: what analysis reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from search.config.file import dump_sweep
from search.config.schema import SweepConfig
from search.records import Experiment, read_experiment, read_final
from search.study.storage import open_storage
from search.study.study import create_study
from tests.checkout import ROOT
from tests.search_tests.example import FINGERPRINT, sweep
from trainables.errors import UserError


def test_it_imports_neither_ray_nor_tensorflow(faulty_sweep: SweepConfig) -> None:
    code = (
        "import sys; from search.records import read_experiment; "
        f"print(len(read_experiment({faulty_sweep.experiment!r}).trials), "
        "[name for name in ('ray', 'tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["8", "[]\n"]


def test_all_records_of_a_sweep_that_ended_are_there(faulty: Experiment) -> None:
    assert faulty.ended and faulty.best is not None and faulty.summary is not None
    assert faulty.sweep["name"] == faulty.best.study == "faulty"
    assert faulty.provenance["dataset_fingerprint"] == FINGERPRINT
    assert faulty.manifest is not None and faulty.manifest["fingerprint"] == FINGERPRINT
    assert faulty.final is None
    best = faulty.trials[faulty.best.trial]
    assert (best.value, best.best_epoch) == (faulty.best.score, faulty.best.epoch)
    assert [trial.number for trial in faulty.trials] == list(range(8))


def test_a_trials_record_agrees_with_its_log_of_epochs(faulty: Experiment) -> None:
    trial = faulty.trials[0]
    assert trial.state == "COMPLETE" and trial.stop is not None and trial.stop["kind"] == "max_epochs"
    assert {epoch["epoch"]: epoch["val_macro_f1"] for epoch in trial.epochs} == pytest.approx(trial.values)
    assert trial.epochs[-1]["done"] is True and trial.epochs[-1]["stop_kind"] == "max_epochs"
    assert trial.config["seed"] == trial.seed and trial.params["dropout"] == trial.config["dropout"]
    assert (trial.host, trial.device) == ("synthetic", "CPU")
    assert trial.seconds is not None and trial.started is not None and trial.ended is not None
    assert trial.started < trial.ended


def test_a_sweep_that_is_still_running_can_be_read(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    folder = Path(config.experiment)
    folder.mkdir()
    (folder / "sweep.yaml").write_text(dump_sweep(config))
    trial = create_study(config.name, config.mode, open_storage(folder)).ask()
    for epoch, value in [(1, 0.3), (2, 0.2)]:
        trial.report(value, epoch)
    running = read_experiment(folder)
    assert not running.ended and running.summary is None
    (record,) = running.trials
    assert (record.state, record.value, record.best_epoch, record.stop) == ("RUNNING", 0.3, 1, None)


def test_a_dataset_that_is_out_of_reach_is_none(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    folder = Path(config.experiment)
    folder.mkdir()
    (folder / "sweep.yaml").write_text(dump_sweep(config.model_copy(update={"dataset": "/nowhere"})))
    create_study(config.name, config.mode, open_storage(folder))
    assert read_experiment(folder).manifest is None


def test_what_is_no_experiment_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no sweep\.yaml, so it is no experiment"):
        read_experiment(tmp_path)
    (tmp_path / "sweep.yaml").write_text("name: s\n")
    with pytest.raises(UserError, match=r"holds no study\.db"):
        read_experiment(tmp_path)


def test_damaged_records_are_refused_in_one_line(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    folder = Path(config.experiment)
    folder.mkdir()
    (folder / "sweep.yaml").write_text(dump_sweep(config))
    (folder / "study.db").write_text("this is no database, however long it is, and it will not become one either")
    with pytest.raises(UserError, match=r"study\.db cannot be read"):
        read_experiment(folder)
    (folder / "study.db").unlink()
    create_study("another", "max", open_storage(folder))
    with pytest.raises(UserError, match=r"study\.db holds no study 'test'"):
        read_experiment(folder)
    (folder / "provenance.json").write_text("{")
    with pytest.raises(UserError, match=r"provenance\.json is damaged: invalid JSON: .*; restore it"):
        read_experiment(folder)


def test_the_final_stages_tables_are_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no metrics\.json"):
        read_final(tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps({"chosen": "after"}))
    (tmp_path / "families.csv").write_text("family,test_f1_after\nfelidae,0.5\n")
    final = read_final(tmp_path)
    assert final.metrics == {"chosen": "after"}
    assert final.families == ({"family": "felidae", "test_f1_after": "0.5"},)
    assert final.history == ()
