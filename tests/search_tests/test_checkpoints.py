"""search/checkpoints.py: what stays on the disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.checkpoints import KeepBestCheckpoints
from search.control import Control, Outcome, Stop
from search.pareto import Mode, Weighed
from search.plan import trial_folder
from tests.search_tests.tune_loop import FakeTrial
from trainables.checkpoint import Checkpoints, epoch_of, generations

ENDED = Stop("max_epochs", 3, "ran")
OUTCOMES = [("COMPLETE", 0.4), ("COMPLETE", 0.5), ("PRUNED", 0.9), ("COMPLETE", 0.2), ("FAIL", 1.0), ("FAIL", None)]
KEPT = [
    (0, "max", [99]),
    (1, "max", [2, 99]),
    (2, "max", [1, 2, 99]),
    (1, "min", [3, 99]),
    (9, "max", [0, 1, 2, 3, 99]),
]


def write(folder: Path, number: int) -> int:
    """Write two generations of a trial; return how many bytes each takes."""
    for epoch in (1, 2):
        state = {"weights": np.zeros(1000, np.float32)}
        Checkpoints(trial_folder(folder, number), 1).write(state, {"epoch": epoch, "val_loss": 0.5})
    return generations(trial_folder(folder, number))[0].stat().st_size


def left(folder: Path) -> dict[int, list[int]]:
    files = {int(path.name): generations(path) for path in (folder / "trials").iterdir()}
    return {number: [epoch_of(file) for file in found] for number, found in sorted(files.items()) if found}


def trial(number: int) -> FakeTrial:
    return FakeTrial({"run": {"trial": number}})


@pytest.mark.parametrize(("keep", "mode", "expected"), KEPT)
@pytest.mark.parametrize("taken_up", [False, True])
def test_the_best_ended_trials_and_the_running_ones_keep_theirs(
    tmp_path: Path, keep: int, mode: Mode, expected: list[int], taken_up: bool
) -> None:
    control = Control()
    callback = KeepBestCheckpoints(tmp_path, mode, keep, control)
    for number in [*range(len(OUTCOMES)), 99]:
        write(tmp_path, number)
    if taken_up:
        callback.take_up(
            (number, None if state == "FAIL" or best is None else Weighed(number, best))
            for number, (state, best) in enumerate(OUTCOMES)
        )
    else:
        for number, (state, best) in enumerate(OUTCOMES):
            control.outcomes[number] = Outcome(state, ENDED, best, 1)  # type: ignore[arg-type]
            callback.on_trial_complete(0, [], trial(number))
    assert list(left(tmp_path)) == expected


def test_what_a_trial_leaves_that_never_began_is_nothing(tmp_path: Path) -> None:
    KeepBestCheckpoints(tmp_path, "max", 1, Control()).on_trial_error(0, [], trial(0))
    assert not (tmp_path / "trials").exists()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (8, {0: [2, 1], 1: [2, 1], 2: [2, 1], 3: [2, 1]}),
        (7, {1: [2, 1], 2: [2, 1], 3: [2, 1]}),
        (4, {2: [2, 1], 3: [2, 1]}),
        (3, {2: [2], 3: [2, 1]}),
        (1, {2: [2], 3: [2]}),
    ],
)
def test_a_quota_costs_the_worst_ended_trial_first_and_never_what_a_running_one_goes_on_from(
    tmp_path: Path, files: int, expected: dict[int, list[int]]
) -> None:
    size = max([write(tmp_path, number) for number in range(4)])
    callback = KeepBestCheckpoints(tmp_path, "max", 5, Control(), quota=files * size + size // 2)
    callback.take_up([(0, Weighed(0, 0.1)), (1, Weighed(1, 0.9))])
    result: dict[str, Any] = {"epoch": 2}
    for number in (2, 3):
        callback.on_trial_result(0, [], trial(number), result)
    assert left(tmp_path) == expected


def test_with_two_objectives_those_of_the_front_stay(tmp_path: Path) -> None:
    control = Control()
    callback = KeepBestCheckpoints(tmp_path, "max", 1, control)
    for number, (best, cost) in enumerate([(0.5, 20.0), (0.7, 30.0), (0.4, 20.0), (0.3, 10.0), (0.6, 20.0)]):
        write(tmp_path, number)
        control.outcomes[number] = Outcome("COMPLETE", ENDED, best, 1, cost)
        callback.on_trial_complete(0, [], trial(number))
    assert list(left(tmp_path)) == [1, 3, 4]
