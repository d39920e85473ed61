"""search/callbacks/checkpoints.py: what stays on the disk."""

from pathlib import Path

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.callbacks.checkpoints import KeepBestCheckpoints
from search.study.trial_end import Mode, Stop, TrialEnd
from search.tune.observers import EpochResult, ObservedTrial
from tests.checkpoint_files import generations
from trainables.files.bucket import open_store
from trainables.files.experiment import trial_folder
from trainables.training.checkpoint import Checkpoints, epoch_of, newest_first

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


def frozen(number: int, state: str, best: float | None) -> FrozenTrial:
    values, value = {} if best is None else {1: best}, best if state == "COMPLETE" else None
    attrs = {"best_epoch": None if best is None else 1}
    trial = create_trial(state=TrialState[state], value=value, intermediate_values=values, user_attrs=attrs)
    trial.number = number
    return trial


@pytest.mark.parametrize(("keep", "mode", "expected"), KEPT)
@pytest.mark.parametrize("resumed", [False, True])
def test_the_best_ended_trials_and_the_running_ones_keep_theirs(
    tmp_path: Path, keep: int, mode: Mode, expected: list[int], resumed: bool
) -> None:
    keeper = KeepBestCheckpoints(tmp_path, mode, keep)
    for number in [*range(len(OUTCOMES)), 99]:
        write(tmp_path, number)
    if resumed:
        keeper.restore([frozen(number, state, best) for number, (state, best) in enumerate(OUTCOMES)])
    else:
        for number, (state, best) in enumerate(OUTCOMES):
            keeper.ended(ObservedTrial(number, {}), TrialEnd(state, ENDED, best, 1))  # type: ignore[arg-type]
    assert list(left(tmp_path)) == expected


def test_what_a_trial_leaves_that_never_began_is_nothing(tmp_path: Path) -> None:
    KeepBestCheckpoints(tmp_path, "max", 1).ended(ObservedTrial(0, {}), None)
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
    keeper = KeepBestCheckpoints(tmp_path, "max", 5, quota=files * size + size // 2)
    keeper.restore([frozen(0, "COMPLETE", 0.1), frozen(1, "COMPLETE", 0.9), frozen(2, "RUNNING", 0.95)])
    for number in (2, 3):
        keeper.epoch(ObservedTrial(number, {}), EpochResult(2, None, {}))
    assert left(tmp_path) == expected


@pytest.mark.parametrize("resumed", [False, True])
def test_at_a_url_they_are_kept_and_deleted_alike(tmp_path: Path, resumed: bool) -> None:
    url = tmp_path.as_uri()
    places = [f"{url}/checkpoints/{number:04d}/abcd" for number in range(3)]
    for place in places:
        for epoch in (1, 2):
            Checkpoints(place, 1).write({"weights": np.zeros(1000, np.float32)}, {"epoch": epoch})
    keeper = KeepBestCheckpoints(tmp_path / "folder", "max", 1, quota=15_000, mirror=url)
    if resumed:
        keeper.restore([frozen(0, "COMPLETE", 0.9), frozen(1, "PRUNED", 0.5), frozen(7, "FAIL", None)])
    else:
        for number, best in enumerate((0.9, 0.5)):
            keeper.ended(ObservedTrial(number, {}), TrialEnd("COMPLETE", ENDED, best, 1))
    found = open_store(f"{url}/checkpoints").sizes()
    assert [name[:4] for name in newest_first(found)] == ["0002", "0000", "0002", "0000"]
    running = ObservedTrial(2, {}, places[2])
    keeper.epoch(running, EpochResult(2, None, {}))
    assert [name[:4] for name in newest_first(open_store(f"{url}/checkpoints").sizes())] == ["0002", "0002"]
    keeper._make_room(5000)
    assert [epoch_of(name) for name in open_store(f"{url}/checkpoints").sizes()] == [2]
    assert not (tmp_path / "folder").exists()


def test_with_two_objectives_those_of_the_front_stay(tmp_path: Path) -> None:
    keeper = KeepBestCheckpoints(tmp_path, "max", 1)
    for number, (best, cost) in enumerate([(0.5, 20.0), (0.7, 30.0), (0.4, 20.0), (0.3, 10.0), (0.6, 20.0)]):
        write(tmp_path, number)
        keeper.ended(ObservedTrial(number, {}), TrialEnd("COMPLETE", ENDED, best, 1, cost))
    assert list(left(tmp_path)) == [1, 3, 4]
