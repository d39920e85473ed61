"""An experiment in a bucket: its driver is killed, another machine goes on, a third one reads the report."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from search.records import read_experiment
from tests.checkout import ROOT
from tests.end_to_end_tests.test_sigkill import clear_away, reported
from tests.s3_server import s3_server
from trainables.files.bucket import open_bucket, open_store
from trainables.files.experiment import LEASE
from trainables.training.checkpoint import newest_first

URL = "s3://sweeps/first"

pytestmark = pytest.mark.slow


def on_machine(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command where another machine's current folder would be."""
    folder.mkdir(exist_ok=True)
    words = [sys.executable, "-m", *map(str, command)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, env=environment)


def drive(machine: Path, data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    driver = "tests.search_tests.killed_driver"
    return on_machine(machine, driver, data, "--mirror", URL, "--trials", "6", *options)


def test_a_killed_sweep_goes_on_on_a_fresh_machine_and_ends_as_one_that_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, first, second, third = (tmp_path / name for name in ("data", "first", "second", "third"))
    with s3_server("sweeps"):
        killed = drive(first, data, "--die-after", "60", "--seconds", "0.2")
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        clear_away(json.loads((data / "children.json").read_text()))
        refused = drive(second, data, "--fetch")
        assert refused.returncode == 2 and refused.stderr.count("\n") == 1
        assert refused.stderr.startswith(f"error: experiment: {URL} is being run by process ")
        assert not (second / "runs").exists()
        make_stale()
        resumed = drive(second, data, "--fetch", "--seconds", "0.1")
        assert resumed.returncode == 0, resumed.stderr
        drawn = on_machine(third, "analysis", "report", URL)
        assert drawn.returncode == 0, drawn.stderr
        monkeypatch.chdir(third)
        experiment = read_experiment(URL)
        checkpoints = newest_first(open_store(f"{URL}/checkpoints").sizes())
    whole = on_machine(first, "tests.search_tests.killed_driver", tmp_path / "whole", "--trials", "6")
    assert whole.returncode == 0, whole.stderr
    expected = read_experiment(tmp_path / "whole" / "experiment")
    assert [reported(trial) for trial in experiment.trials] == [reported(trial) for trial in expected.trials]
    assert experiment.best is not None and expected.best is not None
    assert (experiment.best.trial, experiment.best.score) == (expected.best.trial, expected.best.score)
    assert all([epoch["epoch"] for epoch in trial.epochs] == sorted(trial.values) for trial in experiment.trials)
    assert {name[:4] for name in checkpoints} == {f"{experiment.best.trial:04d}"}
    page = Path(drawn.stdout.splitlines()[-1].removeprefix("report: "))
    assert page.is_file() and page.is_relative_to(third / "runs")


def make_stale() -> None:
    """As if the minutes were over for which a killed driver's note counts."""
    bucket = open_bucket(URL)
    note: Mapping[str, object] = json.loads(bucket.read(LEASE) or b"{}")
    bucket.put(json.dumps({**note, "renewed": 0.0}).encode(), LEASE)
