"""search/tune/scheduler.py: what becomes of each result."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray.cloudpickle
from ray.exceptions import ActorDiedError, RayTaskError
from ray.tune.schedulers import TrialScheduler

from search.stopping.rules import HalvingRule, NeverStop
from search.study.trial_end import Stop
from search.tune.lost_worker import WorkerLost
from search.tune.resources import Node
from search.tune.scheduler import EndWhenAsked, StudyScheduler
from search.tune.state import SweepState
from tests.search_tests.example import sweep
from tests.search_tests.tune_loop import FakeTrial
from trainables.errors import OutOfMemory, UserError


@pytest.fixture
def sweep_state() -> SweepState:
    return SweepState()


@pytest.fixture
def scheduler(tmp_path: Path, sweep_state: SweepState) -> StudyScheduler:
    config = sweep(tmp_path)
    return StudyScheduler(config, HalvingRule(config.early_stopping, 9, "max", 0), sweep_state)


def trial(number: int = 0, **changes: Any) -> FakeTrial:
    fake = FakeTrial({"run": {"trial": number}})
    fake.__dict__.update(changes)
    return fake


def failed(tmp_path: Path, error: Exception, **changes: Any) -> FakeTrial:
    file = tmp_path / "error.pkl"
    file.write_bytes(ray.cloudpickle.dumps(error))
    return trial(pickled_error_file=str(file), **changes)


def test_a_trial_goes_on_until_its_rule_says_otherwise(scheduler: StudyScheduler, sweep_state: SweepState) -> None:
    decide = [
        scheduler.on_trial_result(None, trial(number), {"epoch": 1, "val_macro_f1": value})
        for number, value in enumerate([0.5, 0.5, 0.5, 0.1])
    ]
    assert decide == [TrialScheduler.CONTINUE] * 3 + [TrialScheduler.STOP]
    assert sweep_state.stops[3].rung == 1 and sweep_state.stops[3].competed == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_result_that_is_not_finite_ends_the_trial_as_diverged(
    scheduler: StudyScheduler, sweep_state: SweepState, value: float
) -> None:
    assert scheduler.on_trial_result(None, trial(), {"epoch": 4, "val_macro_f1": value}) == TrialScheduler.STOP
    assert sweep_state.stops[0] == Stop("diverged", 4, f"val_macro_f1 was {value} at epoch 4")
    assert not sweep_state.stopping


@pytest.mark.parametrize("missing", ["val_macro_f1", "epoch"])
def test_a_missing_metric_or_clock_ends_the_sweep_at_once(
    scheduler: StudyScheduler, sweep_state: SweepState, missing: str
) -> None:
    result = {"epoch": 1, "val_macro_f1": 0.1, "val_loss": 0.2}
    del result[missing]
    assert scheduler.on_trial_result(None, trial(), result) == TrialScheduler.STOP
    assert sweep_state.error is not None and EndWhenAsked(sweep_state).stop_all()
    assert str(sweep_state.error).startswith(
        f"the trial's result has no '{missing}', so it cannot be searched by; it has:"
    )
    assert "val_loss" in str(sweep_state.error)


def test_the_metric_may_be_missing_from_a_trials_only_result_too(
    scheduler: StudyScheduler, sweep_state: SweepState
) -> None:
    scheduler.on_trial_complete(None, trial(), {"epoch": 1, "done": True})
    assert isinstance(sweep_state.error, UserError)


def test_the_last_result_of_a_trial_counts_for_the_others(scheduler: StudyScheduler, sweep_state: SweepState) -> None:
    for number in range(3):
        scheduler.on_trial_complete(None, trial(number), {"epoch": 1, "val_macro_f1": 0.5, "done": True})
    assert scheduler.on_trial_result(None, trial(3), {"epoch": 1, "val_macro_f1": 0.1}) == TrialScheduler.STOP


def test_a_lost_worker_is_tried_again_and_fails_when_the_tries_are_used_up(
    scheduler: StudyScheduler, sweep_state: SweepState, tmp_path: Path
) -> None:
    lost = ActorDiedError()
    scheduler.on_trial_error(None, failed(tmp_path, lost, num_failures=1))
    assert sweep_state.stops == {}
    controller = SimpleNamespace(stop_trial=lambda _: pytest.fail("it is worth another try"))
    scheduler.on_trial_add(controller, trial())
    scheduler.on_trial_error(None, failed(tmp_path, lost, num_failures=2, last_result={"epoch": 3}))
    assert sweep_state.stops[0].kind == "failed" and sweep_state.stops[0].epoch == 3
    assert sweep_state.stops[0].reason.startswith("its worker was lost 2 times")


def test_an_exception_of_the_training_code_is_not_tried_again(
    scheduler: StudyScheduler, sweep_state: SweepState, tmp_path: Path
) -> None:
    error = RayTaskError("step", "Traceback\nValueError: no", ValueError("no"))
    scheduler.on_trial_error(None, failed(tmp_path, error, num_failures=1))
    stopped: list[Any] = []
    scheduler.on_trial_add(SimpleNamespace(stop_trial=stopped.append), trial())
    assert len(stopped) == 1 and sweep_state.stops[0].reason == "ValueError: no"
    assert not sweep_state.stopping


@pytest.mark.parametrize(
    ("error", "now", "then"),
    [
        (OutOfMemory("out of memory on T4"), {"CPU": 2.0, "GPU": 0.25}, {"CPU": 2.0, "GPU": 0.5}),
        (OutOfMemory("out of memory on T4"), {"CPU": 2.0, "GPU": 0.6}, {"CPU": 2.0, "GPU": 1.0}),
        (OutOfMemory("out of memory on T4"), {"CPU": 2.0, "GPU": 1.0}, None),
        (OutOfMemory("out of memory on CPU"), {"CPU": 1.0}, {"CPU": 2.0}),
        (OutOfMemory("out of memory on CPU"), {"CPU": 8.0}, None),
        (WorkerLost("memory", out_of_memory=True), {"CPU": 3.0}, {"CPU": 6.0}),
        (WorkerLost("memory", out_of_memory=True), {"CPU": 5.0}, {"CPU": 8.0}),
        (WorkerLost("memory", out_of_memory=True), {"CPU": 2.0, "GPU": 0.25}, {"CPU": 2.0, "GPU": 0.5}),
        (WorkerLost("memory", out_of_memory=True), {"CPU": 2.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 1.0}),
        (WorkerLost("memory", out_of_memory=True), {"CPU": 8.0}, {}),
        (WorkerLost("its node is gone", out_of_memory=False), {"CPU": 1.0}, {}),
    ],
)
def test_what_ran_out_of_memory_is_tried_again_with_half_as_many_neighbours(
    scheduler: StudyScheduler,
    sweep_state: SweepState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    now: dict[str, float],
    then: dict[str, float] | None,
) -> None:
    """On the GPU, or else on a machine of 8 cores; `then` is None where it is not tried again, {} with what it had."""
    monkeypatch.setattr("search.tune.scheduler.nodes_of_trials", lambda: [Node(4, 1), Node(8, 1)])
    given: list[dict[str, float]] = []
    stopped: list[Any] = []
    raised = error if isinstance(error, WorkerLost) else RayTaskError("step", "", error)
    crowded = failed(tmp_path, raised, num_failures=1)
    crowded.placement_group_factory = SimpleNamespace(required_resources=now)
    crowded.update_resources = given.append
    scheduler.on_trial_error(None, crowded)
    scheduler.on_trial_add(SimpleNamespace(stop_trial=stopped.append), crowded)
    assert given == ([then] if then else []) and bool(stopped) == (then is None) == (0 in sweep_state.stops)


def test_every_failure_leaves_its_traceback_in_the_trials_folder(scheduler: StudyScheduler, tmp_path: Path) -> None:
    for attempt in (1, 2):
        scheduler.on_trial_error(None, failed(tmp_path, ActorDiedError(), num_failures=attempt))
    text = (tmp_path / "experiment" / "trials" / "0000" / "error.txt").read_text()
    assert text.count("The actor died unexpectedly") >= 2 and "lost 2 times" in text


def test_an_error_that_would_fail_every_trial_ends_the_sweep(
    scheduler: StudyScheduler, sweep_state: SweepState, tmp_path: Path
) -> None:
    error = RayTaskError("step", "", UserError("weights: w.h5 does not fit inception_v3"))
    scheduler.on_trial_error(None, failed(tmp_path, error, num_failures=1))
    assert str(sweep_state.error) == "weights: w.h5 does not fit inception_v3"


def test_the_first_reason_to_end_stays(sweep_state: SweepState) -> None:
    sweep_state.end("budget", "an hour is over")
    sweep_state.end("interrupted", "stopped by Ctrl-C")
    sweep_state.fail(UserError("first"))
    sweep_state.fail(UserError("second"))
    assert sweep_state.ending is not None and sweep_state.ending.kind == "budget"
    assert str(sweep_state.error) == "first"


def test_no_single_trial_is_stopped_by_the_sweeps_stopper(sweep_state: SweepState) -> None:
    stopper = EndWhenAsked(sweep_state)
    assert not stopper("id", {}) and not stopper.stop_all()
    sweep_state.end("interrupted", "stopped by Ctrl-C")
    assert not stopper("id", {}) and stopper.stop_all()


def test_it_names_its_rule(tmp_path: Path, sweep_state: SweepState) -> None:
    assert StudyScheduler(sweep(tmp_path), NeverStop(), sweep_state).debug_string() == "early stopping by NeverStop"
