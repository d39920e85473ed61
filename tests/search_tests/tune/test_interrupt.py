"""search/tune/interrupt.py: Ctrl-C once and twice."""

import os
import signal
from pathlib import Path

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search.stopping.rules import NeverStop
from search.tune.interrupt import ctrl_c, end_without_waiting
from search.tune.scheduler import EndWhenAsked, StudyScheduler
from search.tune.state import SweepState
from tests.search_tests.example import sweep
from tests.search_tests.tune_loop import FakeTrial


def running(number: int, status: str) -> FakeTrial:
    trial = FakeTrial({"run": {"trial": number}})
    trial.status = status
    return trial


def test_once_lets_epochs_finish_and_twice_is_the_ordinary_interrupt(capfd: pytest.CaptureFixture[str]) -> None:
    sweep_state = SweepState()
    with pytest.raises(KeyboardInterrupt), ctrl_c(sweep_state):
        os.kill(os.getpid(), signal.SIGINT)
        assert sweep_state.stopping and not sweep_state.cutting and not EndWhenAsked(sweep_state).stop_all()
        os.kill(os.getpid(), signal.SIGINT)
    assert "again: stop now, to be resumed" in capfd.readouterr().err
    assert sweep_state.ending is not None and sweep_state.ending.reason == "stopped by Ctrl-C"


def test_a_trial_ends_with_the_epoch_that_was_in_progress(tmp_path: Path) -> None:
    sweep_state = SweepState()
    scheduler = StudyScheduler(sweep(tmp_path), NeverStop(), sweep_state)
    sweep_state.end("interrupted", "stopped by Ctrl-C", grace=30)
    decision = scheduler.on_trial_result(None, running(0, Trial.RUNNING), {"epoch": 2, "val_macro_f1": 0.4})
    assert decision == TrialScheduler.STOP
    stop = sweep_state.stops[0]
    assert (stop.kind, stop.epoch, stop.reason) == ("interrupted", 2, "stopped by Ctrl-C")


def test_nobody_waits_when_no_epoch_is_in_progress() -> None:
    sweep_state = SweepState()
    end_without_waiting(sweep_state, [running(0, Trial.PENDING)])
    assert not sweep_state.stopping
    sweep_state.end("interrupted", "stopped by Ctrl-C", grace=30)
    end_without_waiting(sweep_state, [running(0, Trial.RUNNING), running(1, Trial.PENDING)])
    assert not sweep_state.cutting
    end_without_waiting(sweep_state, [running(0, Trial.TERMINATED), running(1, Trial.PENDING)])
    assert sweep_state.cutting
