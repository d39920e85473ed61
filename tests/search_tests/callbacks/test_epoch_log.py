"""search/callbacks/epoch_log.py: trials/0007/epochs.jsonl."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from search.callbacks.epoch_log import KEYS, EpochLog, mend_logs
from search.records import epochs_without_gap, read_epochs
from search.study.trial_end import Stop
from search.tune.observers import EpochResult, ObservedTrial

TRIAL = ObservedTrial(7, {})


@pytest.fixture
def log(tmp_path: Path) -> EpochLog:
    return EpochLog(tmp_path)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials" / "0007" / "epochs.jsonl").read_text().splitlines()]


def test_an_epoch_is_a_line_of_the_contracts_keys_and_no_others(tmp_path: Path, log: EpochLog) -> None:
    result = {"epoch": 1, "val_macro_f1": np.float32(0.5), "train_loss": math.nan, "pid": 7, "config": {}}
    log.epoch(TRIAL, EpochResult(1, 0.5, result, first=True))
    assert lines(tmp_path) == [{"epoch": 1, "val_macro_f1": 0.5, "train_loss": None}]
    assert "val_cross_entropy" in KEYS and "learning_rate" in KEYS and "best_epoch" in KEYS


def test_the_line_of_a_stopped_trial_says_why(tmp_path: Path, log: EpochLog) -> None:
    stop = Stop("asha", 2, "too low")
    log.epoch(TRIAL, EpochResult(1, 0.5, {"epoch": 1, "val_macro_f1": 0.5, "done": False}))
    log.epoch(TRIAL, EpochResult(2, 0.4, {"epoch": 2, "val_macro_f1": 0.4, "done": True}, stop=stop))
    assert lines(tmp_path)[1] == {
        "epoch": 2, "val_macro_f1": 0.4, "done": True, "stop_kind": "asha", "stop_reason": "too low"
    }  # fmt: skip


def test_a_trial_resumed_by_another_driver_overwrites_what_it_repeats(tmp_path: Path, log: EpochLog) -> None:
    for epoch in (1, 2, 3):
        log.epoch(TRIAL, EpochResult(epoch, 0.5, {"epoch": epoch}, first=epoch == 1))
    EpochLog(tmp_path).epoch(TRIAL, EpochResult(2, 0.5, {"epoch": 2, "val_macro_f1": 0.5}, first=True))
    assert lines(tmp_path) == [{"epoch": 1}, {"epoch": 2, "val_macro_f1": 0.5}]


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "epochs.jsonl"
    file.write_text('{"epoch": 1}\n{"epoch": 2, "val_ma')
    assert read_epochs(file) == ({"epoch": 1},)
    assert read_epochs(tmp_path / "none.jsonl") == ()


def test_what_the_log_of_an_ended_trial_lost_comes_back_as_far_as_the_study_knows_it(
    tmp_path: Path, log: EpochLog, capsys: pytest.CaptureFixture[str]
) -> None:
    for epoch in (1, 2, 3):
        log.epoch(
            TRIAL, EpochResult(epoch, 0.1 * epoch, {"epoch": epoch, "val_macro_f1": 0.1 * epoch, "val_loss": 1.0})
        )
    file = tmp_path / "trials" / "0007" / "epochs.jsonl"
    content = file.read_text().splitlines(keepends=True)
    values = {1: 0.1, 2: 0.2, 3: 0.3}
    ended = optuna.trial.create_trial(state=TrialState.COMPLETE, value=0.3, intermediate_values=values)
    ended.number = 7
    file.write_text(content[0] + content[1][:9])
    mend_logs(tmp_path, [ended], "val_macro_f1")
    assert lines(tmp_path) == [json.loads(content[0]), *({"epoch": e, "val_macro_f1": values[e]} for e in (2, 3))]
    said = capsys.readouterr().err
    assert said == f"warning: {file} had lost epochs 2, 3; of these only val_macro_f1 is left\n"
    mend_logs(tmp_path, [ended], "val_macro_f1")
    assert capsys.readouterr().err == "" and epochs_without_gap(file.parent) == 3
    file.write_text(content[0] + content[2])
    assert epochs_without_gap(file.parent) == 1
