"""search/checkpoints.py: what stays on the disk."""

from pathlib import Path
from typing import Any

import pytest

from search.checkpoints import KeepBestCheckpoints
from search.control import Control, Outcome, Stop
from tests.search_tests.tune_loop import FakeTrial

ENDED = Stop("max_epochs", 3, "ran")


def end_all(folder: Path, keep: int, mode: str, outcomes: list[tuple[Any, float | None]]) -> list[int]:
    """End trials in turn and return whose checkpoints are left."""
    control = Control()
    callback = KeepBestCheckpoints(folder, mode, keep, control)
    for number, (state, best) in enumerate(outcomes):
        (folder / "ray" / f"trial_{number:04d}" / "checkpoint_000001").mkdir(parents=True)
        control.outcomes[number] = Outcome(state, ENDED, best, 1)
    (folder / "ray" / "trial_0099" / "checkpoint_000001").mkdir(parents=True)
    for number in range(len(outcomes)):
        callback.on_trial_complete(0, [], FakeTrial({"run": {"trial": number}}))
    return sorted(int(path.parent.name[-4:]) for path in folder.glob("ray/*/checkpoint_*"))


@pytest.mark.parametrize(
    ("keep", "mode", "left"),
    [(0, "max", [99]), (1, "max", [2, 99]), (2, "max", [1, 2, 99]), (1, "min", [3, 99]), (9, "max", [0, 1, 2, 3, 99])],
)
def test_the_best_ended_trials_and_the_running_ones_keep_theirs(
    tmp_path: Path, keep: int, mode: str, left: list[int]
) -> None:
    outcomes = [("COMPLETE", 0.4), ("COMPLETE", 0.5), ("PRUNED", 0.9), ("COMPLETE", 0.2), ("FAIL", 1.0), ("FAIL", None)]
    assert end_all(tmp_path, keep, mode, outcomes) == left
