"""search/callbacks/epoch_log.py: trials/0007/epochs.jsonl."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.callbacks.epoch_log import KEYS, EpochLog
from search.records import read_epochs
from search.study.trial_end import Stop
from search.tune.state import SweepState
from tests.search_tests.tune_loop import FakeTrial

TRIAL = FakeTrial({"run": {"trial": 7}})


@pytest.fixture
def sweep_state() -> SweepState:
    return SweepState()


@pytest.fixture
def log(tmp_path: Path, sweep_state: SweepState) -> EpochLog:
    return EpochLog(tmp_path, sweep_state)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials" / "0007" / "epochs.jsonl").read_text().splitlines()]


def test_an_epoch_is_a_line_of_the_contracts_keys_and_no_others(tmp_path: Path, log: EpochLog) -> None:
    result = {"epoch": 1, "val_macro_f1": np.float32(0.5), "train_loss": math.nan, "pid": 7, "config": {}}
    log.on_trial_result(0, [], TRIAL, result)
    assert lines(tmp_path) == [{"epoch": 1, "val_macro_f1": 0.5, "train_loss": None}]
    assert "val_cross_entropy" in KEYS and "learning_rate" in KEYS and "best_epoch" in KEYS


def test_the_line_of_a_stopped_trial_says_why(tmp_path: Path, log: EpochLog, sweep_state: SweepState) -> None:
    log.on_trial_result(0, [], TRIAL, {"epoch": 1, "val_macro_f1": 0.5, "done": False})
    sweep_state.stops[7] = Stop("asha", 2, "too low")
    log.on_trial_result(0, [], TRIAL, {"epoch": 2, "val_macro_f1": 0.4, "done": True})
    assert lines(tmp_path)[1] == {
        "epoch": 2, "val_macro_f1": 0.4, "done": True, "stop_kind": "asha", "stop_reason": "too low"
    }  # fmt: skip


def test_a_trial_that_begins_again_overwrites_what_it_repeats(tmp_path: Path, log: EpochLog) -> None:
    for epoch in (1, 2, 3, 2):
        log.on_trial_result(0, [], TRIAL, {"epoch": epoch, "val_macro_f1": epoch / 10})
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2]


def test_nothing_is_kept_in_memory_of_a_trial_that_ended(log: EpochLog) -> None:
    log.on_trial_result(0, [], TRIAL, {"epoch": 1})
    log.on_trial_complete(0, [], TRIAL)
    assert log._last == {}


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "epochs.jsonl"
    file.write_text('{"epoch": 1}\n{"epoch": 2, "val_ma')
    assert read_epochs(file) == ({"epoch": 1},)
    assert read_epochs(tmp_path / "none.jsonl") == ()
