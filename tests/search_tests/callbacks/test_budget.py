"""search/callbacks/budget.py: what a running sweep spends, and its end when that is too much."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.callbacks.budget import WatchBudget, check_budget
from search.config.schema import Budget
from search.study.trial_end import Stop, TrialEnd
from search.tune.observers import ObserverCallback
from search.tune.run_times import RunTimes
from search.tune.state import SweepState
from tests.search_tests.example import sweep
from tests.search_tests.tune_loop import FakeTrial
from trainables.errors import UserError
from trainables.files.experiment import EPOCHS_FILE, trial_folder


def test_gpu_hours_without_a_gpu_are_refused() -> None:
    check_budget(Budget(gpu_hours=1), 0.5)
    with pytest.raises(UserError, match=r"^budget\.gpu_hours: 1, but no trial of this sweep uses a GPU; use hours$"):
        check_budget(Budget(gpu_hours=1), 0)


class Watched:
    """A watch with a clock that is turned by hand."""

    def __init__(self, folder: Path, gpus: float = 0.0, **budget: Any) -> None:
        self.now = 0.0
        self.sweep_state = SweepState(run_times=RunTimes(lambda: self.now))
        self.watch = WatchBudget(sweep(folder, budget=budget), gpus, self.sweep_state, lambda: self.now)
        self.callback = ObserverCallback([self.watch], "val_macro_f1", self.sweep_state)
        self._trials = {number: FakeTrial({"run": {"trial": number, "known_epochs": 0}}) for number in range(9)}

    def start(self, number: int, known_epochs: int = 0) -> None:
        self._trials[number] = FakeTrial({"run": {"trial": number, "known_epochs": known_epochs}})
        self.callback.on_trial_start(0, [], self._trials[number])

    def report(self, number: int, epoch: int) -> None:
        self.callback.on_trial_result(0, [], self._trials[number], {"epoch": epoch})
        self.watch.step()

    def end(self, number: int, best: float) -> None:
        self.sweep_state.trial_ends[number] = TrialEnd("COMPLETE", Stop("max_epochs", 1, "ran"), best, 1)
        self.callback.on_trial_complete(0, [], self._trials[number])
        self.watch.step()

    @property
    def reason(self) -> str | None:
        return self.sweep_state.ending.reason if self.sweep_state.ending else None


def test_epochs_of_all_trials_are_counted_and_those_passed_again_are_not(tmp_path: Path) -> None:
    watched = Watched(tmp_path, epochs=4)
    watched.start(0), watched.start(1)
    for number, epoch in [(0, 1), (1, 1), (0, 2), (0, 1), (0, 2)]:
        watched.report(number, epoch)
    assert watched.reason is None
    watched.report(1, 2)
    assert watched.reason == "budget: 4 epochs were run, of 4"
    assert watched.sweep_state.ending is not None and watched.sweep_state.ending.kind == "budget"


def test_gpu_time_is_each_trials_share_also_between_results(tmp_path: Path) -> None:
    watched = Watched(tmp_path, gpus=0.5, gpu_hours=1.0)
    watched.start(0), watched.start(1)
    watched.now = 3000.0
    watched.end(0, 0.5)
    assert watched.reason is None
    watched.now = 5000.0  # 3000 s and 5000 s at half a GPU
    watched.watch.step()
    assert watched.reason == "budget: 1.11 GPU-hours were used, of 1"


def test_gpu_time_that_an_earlier_run_spent_is_counted_once(tmp_path: Path) -> None:
    """Of a trial that ended, its record; of one that is open, the log of its epochs; neither again when it goes on."""
    watched = Watched(tmp_path, gpus=1.0, gpu_hours=0.01)  # 36 s
    log = trial_folder(tmp_path / "experiment", 1) / EPOCHS_FILE
    log.parent.mkdir(parents=True)
    log.write_text('{"epoch": 1, "epoch_seconds": 6.0, "setup_seconds": 3.0}\n{"epoch": 2, "epoch_seconds": 6.0}\n')
    watched.watch.restore(
        [
            create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.1}, user_attrs={"seconds": 12.0}),
            optuna_trial(1, {1: 0.1, 2: 0.1}),
        ]
    )
    watched.start(1, known_epochs=2)
    watched.report(1, 2)
    watched.now = 8.0
    watched.watch.step()
    assert watched.reason is None, "12 + 15 + 8 s"
    watched.now = 9.5
    watched.watch.step()
    assert watched.reason == "budget: 0.01 GPU-hours were used, of 0.01"


def optuna_trial(number: int, values: dict[int, float]) -> FrozenTrial:
    trial = create_trial(state=TrialState.RUNNING, intermediate_values=values)
    trial.number = number
    return trial


def test_a_target_ends_the_sweep_at_the_epoch_that_reaches_it(tmp_path: Path) -> None:
    watched = Watched(tmp_path, target=0.8)
    watched.start(0), watched.start(1)
    diverged = Stop("diverged", 1, "the loss was not finite")
    watched.sweep_state.stops[0] = diverged
    watched.callback.on_trial_result(0, [], watched._trials[0], {"epoch": 1, "val_macro_f1": 0.9})
    watched.watch.step()
    assert watched.reason is None
    watched.callback.on_trial_result(0, [], watched._trials[1], {"epoch": 1, "val_macro_f1": 0.81})
    watched.watch.step()
    assert watched.reason == "budget: the target of 0.8 was reached by 0.8100"


@pytest.mark.parametrize(("kind", "reached"), [("max_epochs", True), ("diverged", False), ("infeasible", False)])
def test_a_trials_last_epoch_reaches_the_target_only_if_the_trial_ends_well(
    tmp_path: Path, kind: str, reached: bool
) -> None:
    """Ray tells callbacks of a trial's last result before the scheduler judges it."""
    watched = Watched(tmp_path, target=0.8)
    watched.start(0)
    last = {"epoch": 1, "val_macro_f1": 0.9, "done": True}
    watched.callback.on_trial_result(0, [], watched._trials[0], last)
    watched.watch.step()
    assert watched.reason is None
    state: Any = "COMPLETE" if reached else "PRUNED"
    watched.sweep_state.trial_ends[0] = TrialEnd(state, Stop(kind, 1, "why"), 0.9, 1)
    watched.callback.on_trial_complete(0, [], watched._trials[0])
    watched.watch.step()
    assert (watched.reason is not None) == reached


@pytest.mark.parametrize(("kind", "reached"), [("max_epochs", True), ("diverged", False), ("infeasible", False)])
def test_a_target_that_an_earlier_run_reached_is_reached(tmp_path: Path, kind: str, reached: bool) -> None:
    watched = Watched(tmp_path, target=0.8)
    attrs = {"stop": {"kind": kind}, "best_epoch": 2}
    state = TrialState.COMPLETE if reached else TrialState.PRUNED
    trial = create_trial(
        state=state, value=0.85 if reached else None, intermediate_values={1: 0.5, 2: 0.85}, user_attrs=attrs
    )
    watched.watch.restore([trial])
    watched.watch.step()
    assert (watched.reason is not None) == reached


def test_a_plateau_ends_the_sweep(tmp_path: Path) -> None:
    watched = Watched(tmp_path, plateau={"trials": 2})
    for number, best in enumerate([0.5, 0.4]):
        watched.start(number), watched.end(number, best)
    assert watched.reason is None
    watched.start(2), watched.end(2, 0.5)
    assert watched.reason == "plateau: the best value has not improved for 2 trials"


def test_what_an_earlier_run_spent_is_counted_on(tmp_path: Path) -> None:
    watched = Watched(tmp_path, epochs=5)
    ended: Any = SimpleNamespace(
        number=0,
        datetime_complete=1,
        intermediate_values={1: 0.2, 2: 0.3},
        user_attrs={"best_epoch": 2, "seconds": 3.0},
        state=SimpleNamespace(is_finished=lambda: True),
    )
    cut_off: Any = SimpleNamespace(
        number=1,
        datetime_complete=None,
        intermediate_values={1: 0.1, 2: 0.1},
        user_attrs={},
        state=SimpleNamespace(is_finished=lambda: False),
    )
    watched.watch.restore([cut_off, ended])
    watched.start(1, known_epochs=2)
    watched.report(1, 2)  # A resumed trial repeats its last result.
    assert watched.reason is None
    watched.report(1, 3)
    assert watched.reason == "budget: 5 epochs were run, of 5"
