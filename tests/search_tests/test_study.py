"""search/study.py: the record."""

import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search.control import Stop
from search.storage import close_storage, open_storage
from search.study import best_epoch, close_open_trials, create_study, tell_end
from trainables.errors import SweepError

ENDED = Stop("max_epochs", 3, "ran all 3 epochs")


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return create_study("s", "max", open_storage(tmp_path))


def reported(study: optuna.Study, *values: float) -> dict[int, float]:
    trial = study.ask()
    for epoch, value in enumerate(values, start=1):
        trial.report(value, epoch)
    return dict(enumerate(values, start=1))


@pytest.mark.parametrize(
    ("stop", "values", "state", "value"),
    [
        (ENDED, (0.2, 0.5, 0.4), TrialState.COMPLETE, 0.5),
        (Stop("early_stopping", 2, "no better"), (0.5, 0.4), TrialState.COMPLETE, 0.5),
        (Stop("asha", 2, "too low"), (0.2, 0.1), TrialState.PRUNED, 0.1),
        (Stop("median", 2, "too low"), (0.2, 0.1), TrialState.PRUNED, 0.1),
        (Stop("interrupted", 1, "stopped by Ctrl-C"), (0.2,), TrialState.PRUNED, 0.2),
        (Stop("budget", None, "an hour is over"), (), TrialState.FAIL, None),
        (Stop("failed", 1, "loss was nan"), (0.2,), TrialState.FAIL, None),
        (ENDED, (), TrialState.FAIL, None),
    ],
)
def test_how_a_trial_ended_decides_its_state_and_value(
    study: optuna.Study, stop: Stop, values: tuple[float, ...], state: TrialState, value: float | None
) -> None:
    outcome = tell_end(study, 0, reported(study, *values), stop, "max", {"host": "here"})
    told = study.trials[0]
    assert (told.state, told.value) == (state, value)
    assert told.user_attrs["stop"]["reason"] == stop.reason and told.user_attrs["host"] == "here"
    assert (outcome.state, outcome.best) == (state.name, max(values, default=None))


def test_no_trial_stays_running_after_the_sweep(study: optuna.Study) -> None:
    reported(study, 0.3, 0.2)
    reported(study)
    tell_end(study, 2, reported(study, 0.9), ENDED, "max", {})
    outcomes = close_open_trials(study, Stop("interrupted", None, "stopped by Ctrl-C"), "max")
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "FAIL", "COMPLETE"]
    assert study.trials[0].user_attrs["stop"] == {"kind": "interrupted", "epoch": 2, "reason": "stopped by Ctrl-C"}
    assert outcomes.keys() == {0, 1} and outcomes[0].best == 0.3


def test_a_study_is_never_joined(study: optuna.Study, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="the study 's' exists in this storage; give the sweep another `name`"):
        create_study("s", "max", open_storage(tmp_path))


def test_readers_do_not_wait_for_the_sweep(study: optuna.Study, tmp_path: Path) -> None:
    reported(study, 0.5)
    writer = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    writer.execute("BEGIN IMMEDIATE")
    reader = sqlite3.connect(tmp_path / "study.db", timeout=0)
    assert reader.execute("SELECT count(*) FROM trials").fetchone() == (1,)
    writer.execute("ROLLBACK")
    writer.close()
    reader.close()


def test_the_database_of_a_sweep_that_ended_is_one_plain_file(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    create_study("s", "max", storage).ask()
    assert (tmp_path / "study.db-wal").exists()
    close_storage(storage)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    with sqlite3.connect(tmp_path / "study.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_reader_does_not_keep_the_sweep_from_ending(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    create_study("s", "max", storage).ask()
    reader = sqlite3.connect(tmp_path / "study.db")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM trials").fetchall()
    close_storage(storage)
    assert len(reader.execute("SELECT * FROM trials").fetchall()) == 1
    reader.close()


def test_of_equal_epochs_the_first_is_the_best() -> None:
    assert best_epoch({1: 0.2, 2: 0.5, 3: 0.5}, "max") == 2
    assert best_epoch({1: 0.2, 2: 0.1, 3: 0.1}, "min") == 2
    assert best_epoch({}, "max") is None
