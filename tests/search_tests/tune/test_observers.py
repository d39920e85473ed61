"""search/tune/observers.py: what observers hear of a sweep, with Ray's calls played."""

from typing import Any

import pytest
import ray.cloudpickle
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from search.study.trial_end import Stop, TrialEnd
from search.tune.observers import EpochResult, ObservedTrial, Observer, ObserverCallback
from search.tune.state import SweepState
from tests.search_tests.tune_loop import FakeTrial

END = TrialEnd("PRUNED", Stop("asha", 3, "too low"), 0.5, 1)


class Heard(Observer):
    """Writes down what it hears, under its name."""

    def __init__(self, name: str, heard: list[Any]) -> None:
        self._name, self._heard = name, heard

    def opened(self) -> None:
        self._heard.append((self._name, "opened"))

    def began(self, trial: ObservedTrial) -> None:
        self._heard.append((self._name, "began", trial.number))

    def noted(self, trial: ObservedTrial, note: str) -> None:
        self._heard.append((self._name, "noted", note))

    def epoch(self, trial: ObservedTrial, result: EpochResult) -> None:
        self._heard.append((self._name, "epoch", result))

    def ended(self, trial: ObservedTrial, end: TrialEnd | None) -> None:
        self._heard.append((self._name, "ended", end))

    def step(self) -> None:
        self._heard.append((self._name, "step"))

    def closed(self) -> None:
        self._heard.append((self._name, "closed"))


@pytest.fixture
def heard() -> list[Any]:
    return []


@pytest.fixture
def sweep_state() -> SweepState:
    return SweepState()


@pytest.fixture
def callback(heard: list[Any], sweep_state: SweepState) -> ObserverCallback:
    return ObserverCallback([Heard("a", heard), Heard("b", heard)], "val_macro_f1", sweep_state)


def trial(number: int = 7, **run: Any) -> FakeTrial:
    fake = FakeTrial({"dropout": 0.3, "run": {"trial": number, **run}})
    fake.is_finished, fake.status = lambda: False, Trial.RUNNING
    return fake


def report(callback: ObserverCallback, played: FakeTrial, *epochs: int, **more: Any) -> None:
    for epoch in epochs:
        callback.on_trial_result(0, [], played, {"epoch": epoch, "val_macro_f1": epoch / 10, **more})


def results(heard: list[Any]) -> list[EpochResult]:
    return [entry[2] for entry in heard if entry[:2] == ("a", "epoch")]


def test_each_event_reaches_the_observers_in_their_order(
    callback: ObserverCallback, heard: list[Any], sweep_state: SweepState
) -> None:
    callback.setup(stop=None, num_samples=1)
    callback.on_trial_start(0, [], trial())
    report(callback, trial(), 1)
    sweep_state.trial_ends[7] = END
    callback.on_trial_complete(0, [], trial())
    callback.on_trial_error(0, [], trial(8))  # Its start failed, and the study was told of no end.
    callback.on_step_end(0, [])
    for _ in range(2):  # Ray does so, and search/sweep.py.
        callback.on_experiment_end([])
    result = EpochResult(1, 0.1, {"epoch": 1, "val_macro_f1": 0.1}, first=True)
    events = [
        ("opened",), ("began", 7), ("epoch", result), ("ended", END), ("ended", None), ("step",),
        ("closed",), ("closed",),
    ]  # fmt: skip
    assert heard == [(name, *event) for event in events for name in "ab"]


def test_an_epoch_that_a_trial_repeats_after_its_worker_was_lost_is_dropped(
    callback: ObserverCallback, heard: list[Any]
) -> None:
    report(callback, trial(), 1, 2, 3)
    callback.on_trial_start(1, [], trial())
    report(callback, trial(), 1, 2, 3, 4)
    report(callback, trial(8), 1)
    assert [(result.epoch, result.first) for result in results(heard)] == [
        (1, True), (2, False), (3, False), (4, False), (1, True)
    ]  # fmt: skip


def test_a_note_is_passed_on_with_a_repeated_epoch_too(callback: ObserverCallback, heard: list[Any]) -> None:
    report(callback, trial(), 1, 2)
    report(callback, trial(), 1, checkpoint_note="the checkpoint of epoch 2 is damaged")
    assert ("b", "noted", "the checkpoint of epoch 2 is damaged") in heard and len(results(heard)) == 2
    report(callback, trial(), 3, checkpoint_note="")
    assert len([entry for entry in heard if entry[1] == "noted"]) == 2


def test_what_the_study_held_before_this_driver_is_known_and_the_first_result_says_that_it_is(
    callback: ObserverCallback, heard: list[Any]
) -> None:
    report(callback, trial(known_epochs=2), 2, 3)
    assert [(result.epoch, result.first, result.known) for result in results(heard)] == [
        (2, True, True), (3, False, False)
    ]  # fmt: skip


def test_a_result_says_why_the_scheduler_stops_the_trial_with_it(
    callback: ObserverCallback, heard: list[Any], sweep_state: SweepState
) -> None:
    report(callback, trial(), 1)
    sweep_state.stops[7] = END.stop
    report(callback, trial(), 2)
    assert [result.stop for result in results(heard)] == [None, END.stop]


def test_a_result_without_its_epoch_is_no_epoch_and_one_without_the_objective_is_one(
    callback: ObserverCallback, heard: list[Any]
) -> None:
    callback.on_trial_result(0, [], trial(), {"val_macro_f1": 0.5})
    callback.on_trial_result(0, [], trial(), {"epoch": 1, "val_loss": 0.5})
    assert [(result.epoch, result.value) for result in results(heard)] == [(1, None)]


def test_nothing_is_kept_of_a_trial_that_ended(callback: ObserverCallback) -> None:
    played = trial()
    report(callback, played, 1)
    callback.on_trial_complete(0, [], played)
    assert callback._last_epochs == {} and callback._ended == [played]  # Ray may still need it in this step.
    callback.on_step_end(0, [])
    assert callback._ended == [played]
    made = Trial("__fake", config=played.config, stub=True)
    made.set_status(Trial.TERMINATED)
    callback._ended = [made]
    callback.on_step_end(0, [])
    assert callback._ended == [] and made.config == {"run": played.config["run"]}


def test_a_sweep_that_is_to_end_does_so_when_no_trial_trains(
    callback: ObserverCallback, sweep_state: SweepState
) -> None:
    sweep_state.end("interrupted", "stopped by Ctrl-C", grace=30)
    callback.on_step_end(0, [trial()])
    assert not sweep_state.cutting
    callback.on_step_end(0, [])
    assert sweep_state.cutting


def test_it_stands_for_rays_display_and_is_pickled_without_its_observers(callback: ObserverCallback) -> None:
    assert isinstance(callback, TrialProgressCallback)  # Otherwise Ray adds its own.
    assert type(ray.cloudpickle.loads(ray.cloudpickle.dumps(callback))) is Callback
