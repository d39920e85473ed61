"""search/callbacks/still_there.py: records that vanish under a running sweep."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from search.callbacks.still_there import StillThere
from search.tune.state import SweepState


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("sweep.yaml", "study.db"):
        (folder / name).write_text("x")
    return folder


def replace_study(folder: Path) -> None:
    (folder / "new").write_text("x")
    (folder / "new").replace(folder / "study.db")


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda folder: (folder / "study.db").unlink(), "study.db was removed while the sweep ran"),
        (lambda folder: (folder / "sweep.yaml").unlink(), "sweep.yaml was removed while the sweep ran"),
        (shutil.rmtree, "sweep.yaml was removed while the sweep ran"),
        (replace_study, "study.db was replaced while the sweep ran"),
    ],
)
def test_records_that_vanish_end_the_sweep_with_a_line(
    experiment: Path, damage: Callable[[Path], object], line: str
) -> None:
    state, now = SweepState(), [0.0]
    watch = StillThere(experiment, state, clock=lambda: now[0])
    watch.step()
    (experiment / "study.db").write_text("more")  # As the sweep does.
    now[0] += 10
    watch.step()
    assert state.error is None
    damage(experiment)
    watch.step()
    assert state.error is None, "it looks some times a minute, not several times a second"
    now[0] += 10
    watch.step()
    assert line in str(state.error)


def test_a_study_on_a_server_is_not_looked_for(experiment: Path) -> None:
    (experiment / "study.db").unlink()
    state = SweepState()
    StillThere(experiment, state, study=False).closed()
    assert state.error is None
    StillThere(experiment, state).closed()
    assert "study.db was removed" in str(state.error)
