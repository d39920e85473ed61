"""search/study/study.py: the record."""

import copy
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search.study.storage import open_storage
from search.study.study import (
    best_epoch,
    best_value,
    close_open_trials,
    create_study,
    decided_end,
    open_trials,
    state_of,
    tell_end,
)
from search.study.trial_end import Stop
from trainables.errors import UserError

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
        (Stop("diverged", 2, "loss was nan"), (0.9,), TrialState.PRUNED, 0.9),
        (Stop("diverged", 1, "loss was nan"), (), TrialState.PRUNED, None),
    ],
)
def test_how_a_trial_ended_decides_its_state_and_value(
    study: optuna.Study, stop: Stop, values: tuple[float, ...], state: TrialState, value: float | None
) -> None:
    trial_end = tell_end(study, 0, reported(study, *values), stop, "max", {"host": "here"})
    ended = study.trials[0]
    assert (ended.state, ended.value) == (state, value)
    assert ended.user_attrs["stop"]["reason"] == stop.reason and ended.user_attrs["host"] == "here"
    assert (trial_end.state, trial_end.best) == (state.name, max(values, default=None))


def test_what_a_trial_reached_before_it_diverged_does_not_count(study: optuna.Study) -> None:
    stops = (Stop("asha", 1, "low"), Stop("diverged", 2, "loss was nan"), Stop("failed", 2, "RuntimeError"))
    for number, stop in enumerate(stops):
        tell_end(study, number, reported(study, 0.9), stop, "max", {})
    assert [best_value(trial) for trial in study.trials] == [0.9, None, None]
    assert [state_of(trial) for trial in study.trials] == ["PRUNED", "DIVERGED", "FAIL"]


def test_no_trial_stays_running_after_the_sweep(study: optuna.Study, tmp_path: Path) -> None:
    reported(study, 0.3, 0.2)
    reported(study)
    tell_end(study, 2, reported(study, 0.9), ENDED, "max", {})
    close_open_trials(study, Stop("interrupted", None, "stopped by Ctrl-C"), "max", tmp_path)
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "FAIL", "COMPLETE"]
    assert study.trials[0].user_attrs["stop"] == {"kind": "interrupted", "epoch": 2, "reason": "stopped by Ctrl-C"}
    assert study.trials[0].user_attrs["best_epoch"] == 1


def test_a_study_is_never_joined(study: optuna.Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the study 's' exists in this storage; give the sweep another `name`"):
        create_study("s", "max", open_storage(tmp_path))


def test_an_end_that_was_decided_is_known_once_its_last_value_is_there(study: optuna.Study) -> None:
    reported(study, 0.3)
    (trial,) = open_trials(study)
    assert decided_end(replace_stop(trial, {"kind": "asha", "epoch": 1, "reason": "low", "rung": 1})) == Stop(
        "asha", 1, "low", rung=1
    )
    assert decided_end(replace_stop(trial, {"kind": "failed", "epoch": 2, "reason": "no"})) is not None
    assert decided_end(replace_stop(trial, {"kind": "diverged", "epoch": 2, "reason": "nan"})) is not None
    assert decided_end(replace_stop(trial, {"kind": "max_epochs", "epoch": 2, "reason": "ran"})) is None
    assert decided_end(replace_stop(trial, None)) is None


def replace_stop(trial: optuna.trial.FrozenTrial, stop: dict[str, object] | None) -> optuna.trial.FrozenTrial:
    changed = copy.copy(trial)
    changed.user_attrs = {} if stop is None else {"stop": stop}
    return changed


def test_of_equal_epochs_the_first_is_the_best() -> None:
    assert best_epoch({1: 0.2, 2: 0.5, 3: 0.5}, "max") == 2
    assert best_epoch({1: 0.2, 2: 0.1, 3: 0.1}, "min") == 2
    assert best_epoch({}, "max") is None
