"""A driver that dies at any moment: the sweep ends as one that was never killed.

Most of these kill at the writes to the study and to the checkpoints, between which nothing else is kept; one kills
processes with real files by SIGKILL, and tests/end_to_end_tests/test_sigkill.py does so with a real Ray.
"""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.config.schema import SweepConfig
from search.study.storage import opened_storage
from search.study.study import continued_study, open_trials, settle
from tests.checkout import ROOT
from tests.search_tests import dying_driver
from tests.search_tests.example import sweep
from tests.search_tests.gp import check_installed
from tests.search_tests.tune_loop import PlayedSweep

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True, "points": 4},
    "dropout": {"low": 0.0, "high": 0.6, "points": 3},
    "dense_units": [128, 256],
    "unfrozen_layers": [31],
}


ATTRS = ("stop", "config", "cost")
TWO = ["val_macro_f1", "model_mb"]


class Killed(BaseException):
    """No handler of ours may catch it."""


class DyingStorage(optuna.storages.InMemoryStorage):
    """Outlives its drivers, which die before their `writes_left`-th write (negative: never), or just after it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left = -1
        self.writes = 0

    def tick(self) -> None:
        self.writes += 1
        self.writes_left -= 1
        if self.writes_left == 0:
            raise Killed


def _dying(name: str) -> Any:
    write = getattr(optuna.storages.InMemoryStorage, name)

    def method(self: DyingStorage, *args: Any, **named: Any) -> Any:
        self.tick()
        return write(self, *args, **named)

    return method


for _name in (
    "create_new_study",
    "set_study_user_attr",
    "create_new_trial",
    "set_trial_param",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "set_trial_state_values",
):
    setattr(DyingStorage, _name, _dying(_name))


def live(config: SweepConfig, storage: DyingStorage, checkpoints: dict[int, int]) -> None:
    """One driver's life: begin or resume, and run until the sweep has ended."""

    def checkpoint(number: int, epoch: int) -> None:
        storage.tick()
        checkpoints[number] = epoch

    study = continued_study(config, "fingerprint", storage)
    left = max(config.trials - settle(study, config, None), len(open_trials(study)))
    game = PlayedSweep(config, study=study, checkpoint=checkpoint, checkpoints=dict(checkpoints))
    game.play(trials=left)


def reported(storage: optuna.storages.BaseStorage) -> list[tuple[Any, ...]]:
    trials = optuna.load_study(study_name="test", storage=storage).get_trials()
    return [
        (t.number, t.state.name, t.params, t.intermediate_values, t.values, *(t.user_attrs.get(key) for key in ATTRS))
        for t in trials
    ]


def elsewhere(config: SweepConfig, name: object) -> SweepConfig:
    """The same sweep in a folder of its own: a study that lacks trials takes them from their records in the folder."""
    return config.model_copy(update={"experiment": f"{config.experiment}-{name}"})


def unkilled(config: SweepConfig) -> tuple[list[tuple[Any, ...]], int]:
    storage = DyingStorage()
    live(elsewhere(config, "whole"), storage, {})
    return reported(storage), storage.writes


@pytest.mark.parametrize(
    ("sampler", "stopping", "objectives"),
    [
        ("tpe", "asha", []),
        ("tpe", "asha", TWO),
        ("grid", "hyperband", []),
        ("grid", "median", TWO),
        ("gp", "median", []),
        ("random", "none", []),
    ],
)
def test_a_sweep_killed_again_and_again_ends_as_one_that_never_was(
    tmp_path: Path, sampler: str, stopping: str, objectives: list[str]
) -> None:
    check_installed(sampler)
    config = sweep(
        tmp_path,
        trials=9,
        sampler=sampler,
        space=SPACE,
        startup_trials=3,
        early_stopping={"kind": stopping, "min_results": 2},
        seed=5,
        objectives=objectives,
    )
    expected, _ = unkilled(config)
    dice = random.Random(f"{sampler} {stopping}")
    storage, checkpoints, deaths = DyingStorage(), dict[int, int](), 0
    while True:
        storage.writes_left = dice.randint(1, 25)
        try:
            live(config, storage, checkpoints)
            break
        except Killed:
            deaths += 1
    assert deaths >= 8
    assert reported(storage) == expected


@pytest.mark.parametrize("objectives", [[], TWO])
def test_there_is_no_moment_at_which_a_kill_changes_the_sweep(tmp_path: Path, objectives: list[str]) -> None:
    short: dict[str, Any] = {"trials": 4, "trial": {"epochs": 3}, "startup_trials": 2, "seed": 8}
    if objectives:  # Models of one size, so that they are held against each other.
        short |= {"objectives": objectives, "space": {**SPACE, "dense_units": [128]}}
    config = sweep(tmp_path, early_stopping={"min_results": 1}, **short)
    expected, writes = unkilled(config)
    assert {trial[1] for trial in expected} == {"COMPLETE", "PRUNED"}
    for moment in range(1, writes + 1):
        storage, checkpoints = DyingStorage(), dict[int, int]()
        storage.writes_left = moment
        with pytest.raises(Killed):
            live(elsewhere(config, moment), storage, checkpoints)
        live(elsewhere(config, moment), storage, checkpoints)
        assert reported(storage) == expected, f"killed before write {moment}"


@pytest.mark.slow
def test_processes_killed_by_sigkill_leave_files_that_the_next_ones_go_on_with(tmp_path: Path) -> None:
    """33 deaths; half a minute of processor time."""
    (tmp_path / "broken").mkdir()
    command = [sys.executable, "-m", dying_driver.__name__, str(tmp_path / "broken"), "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20
    (tmp_path / "whole").mkdir()
    dying_driver.live(dying_driver.config(tmp_path / "whole"))
    results = []
    for name in ("whole", "broken"):
        with opened_storage(tmp_path / name / "experiment") as storage:
            results.append(reported(storage))
    assert results[0] == results[1]


@pytest.mark.parametrize("lost", ["all", "newest"])
def test_checkpoints_that_were_lost_cost_epochs_and_nothing_else(tmp_path: Path, lost: str) -> None:
    config = sweep(tmp_path, trials=5, seed=3, sampler="random")
    expected, writes = unkilled(config)
    for moment in range(5, writes, 23):
        storage, checkpoints = DyingStorage(), dict[int, int]()
        storage.writes_left = moment
        again = elsewhere(config, moment)
        with pytest.raises(Killed):
            live(again, storage, checkpoints)
        live(again, storage, {} if lost == "all" else {number: epoch - 1 for number, epoch in checkpoints.items()})
        assert reported(storage) == expected


def test_a_trial_that_was_resumed_says_so_with_its_epoch(tmp_path: Path) -> None:
    config = sweep(tmp_path, trials=1, seed=3)
    storage, checkpoints = DyingStorage(), dict[int, int]()
    study = continued_study(config, "fingerprint", storage)
    assert study.user_attrs["definition"]["dataset"] == "fingerprint"
    game = PlayedSweep(config, study=study)
    trial = game._trial(0)
    next(trial), next(trial)
    live(config, storage, checkpoints)
    (ended,) = optuna.load_study(study_name="test", storage=storage).get_trials()
    assert [entry["after_epoch"] for entry in ended.user_attrs["taken_up"]] == [2]
