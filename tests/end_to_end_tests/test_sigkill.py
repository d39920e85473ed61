"""A driver killed for real, with Ray: what is left of it, and how the sweep ends that was resumed.

Most of it is on a trainable that trains nothing (tests/search_tests/synthetic.py), so that a life takes seconds; the
last test is on the real one, by the commands that a user types.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from search.records import Experiment, TrialRecord, read_epochs, read_experiment
from tests.checkout import ROOT
from tests.search_tests.event_files import read_events
from trainables.data.commands import write_digits
from trainables.data.prepare import PrepareOptions, prepare

DRIVER = "tests.search_tests.killed_driver"

pytestmark = pytest.mark.slow


def drive(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a driver; once more where the machine is so busy that Ray's own processes do not come up in its 30 s."""
    command = [sys.executable, "-m", DRIVER, str(folder), *options]
    for _ in range(3):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
        if "cannot reach Ray on this machine" not in done.stderr:
            break
    return done


def reported(trial: TrialRecord) -> tuple[Any, ...]:
    return trial.number, trial.state, trial.params, trial.values, trial.value, trial.stop, trial.config


def check_logs(experiment: Experiment) -> None:
    """The log of epochs and the TensorBoard run of each trial hold every epoch once, whoever wrote it."""
    for trial in experiment.trials:
        epochs = sorted(trial.values)
        lines = read_epochs(experiment.folder / "trials" / f"{trial.number:04d}" / "epochs.jsonl")
        assert [line["epoch"] for line in lines] == epochs
        events = read_events(experiment.folder / "tensorboard" / f"trial_{trial.number:04d}")
        assert [point.step for point in events.Scalars("val_macro_f1")] == epochs
        assert [point.value for point in events.Scalars("val_macro_f1")] == pytest.approx(list(trial.values.values()))


def clear_away(left: list[tuple[int, float]]) -> None:
    """End what a killed driver has left of Ray (process id, time of creation)."""
    for pid, created in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.create_time() == created:
                process.kill()


def test_a_sweep_killed_twenty_times_ends_as_one_that_never_was(tmp_path: Path) -> None:
    """Minutes: every life starts a Ray of its own. RARETUNE_KILLS asks for fewer deaths."""
    wanted = int(os.environ.get("RARETUNE_KILLS", "20"))
    trials = max(3, 4 * wanted)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = drive(whole, "--trials", str(trials))
    assert done.returncode == 0, done.stderr
    dice, deaths, left = random.Random(1), 0, []
    while True:
        dying = ["--die-after", str(dice.randint(16, 26)), "--delay", str(dice.choice([0, 0.01, 0.05, 0.1]))]
        done = drive(broken, "--trials", str(trials), *dying)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        # Ray's processes may outlive the driver by a minute or more: the next one must not mind.
        left += json.loads((broken / "children.json").read_text())
        deaths += 1
    clear_away(left)
    assert deaths >= wanted
    expected, experiment = read_experiment(whole / "experiment"), read_experiment(broken / "experiment")
    assert [reported(trial) for trial in experiment.trials] == [reported(trial) for trial in expected.trials]
    assert experiment.best is not None and expected.best is not None
    assert (experiment.best.trial, experiment.best.score) == (expected.best.trial, expected.best.score)
    assert len(experiment.provenance["resumed"]) <= deaths
    check_logs(experiment)
    again = drive(broken, "--trials", str(trials))
    assert again.returncode == 0 and "best" in again.stdout


def test_ctrl_c_twice_stops_at_once_and_resume_goes_on_with_the_running_trial(tmp_path: Path) -> None:
    command = [sys.executable, "-m", DRIVER, str(tmp_path), "--trials", "3", "--seconds", "2"]
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        epochs = tmp_path / "experiment" / "trials" / "0000" / "epochs.jsonl"
        deadline = time.monotonic() + 240
        while len(read_epochs(epochs)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(2):
            os.kill(driver.pid, signal.SIGINT)
            time.sleep(0.3)
        assert driver.wait(60) == 130, (tmp_path / "log").read_text()
    finally:
        if driver.poll() is None:
            driver.kill()
    said = (tmp_path / "log").read_text()
    assert "again: stop now, to be resumed" in said and "Traceback" not in said
    assert f"python -m search resume {tmp_path / 'experiment'}` goes on" in said
    stopped = read_experiment(tmp_path / "experiment")
    assert [trial.state for trial in stopped.trials] == ["RUNNING"] and not stopped.ended
    done = drive(tmp_path)
    assert done.returncode == 0, done.stderr
    experiment = read_experiment(tmp_path / "experiment")
    assert experiment.trials[0].state == "COMPLETE" and len(experiment.trials) == 3
    check_logs(experiment)


# The real trainable: small, one trial at a time, repeatable.
REAL = {
    "trials": 3,
    "seed": 3,
    "startup_trials": 2,
    "space": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "unfrozen_layers": [0, 30]},
    "trial": {"backbone": "mobilenet_v2", "weights": "random", "image_size": 32, "epochs": 3, "augment_views": 1},
    "early_stopping": {"min_results": 1},
    "resources": {"concurrent_trials": 1, "threads_per_trial": 1, "gpus_per_trial": 0, "measure": False},
    "address": "local",
}


def search(*arguments: str | Path, log: Path) -> subprocess.Popen[bytes]:
    """Begin a command of ours in a session of its own."""
    command = [sys.executable, "-m", "search", *map(str, arguments)]
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True, env=environment
        )


def kill_after(driver: subprocess.Popen[bytes], epochs: Path, count: int) -> list[tuple[int, float]]:
    """Kill a driver once a trial has so many epochs; return what it leaves of Ray (process id, time of creation)."""
    deadline = time.monotonic() + 600
    while len(read_epochs(epochs)) < count:
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    left = [(child.pid, child.create_time()) for child in psutil.Process(driver.pid).children(recursive=True)]
    driver.kill()
    assert driver.wait(60) == -signal.SIGKILL
    return left


def test_real_training_that_was_killed_ends_with_the_scores_of_one_that_was_not(tmp_path: Path) -> None:
    """Two minutes; weights, optimizer, schedule, augmentation and dropout all have to go on where they were."""
    write_digits(tmp_path / "photos", most=30, fewest=12)
    prepare(tmp_path / "photos", tmp_path / "dataset", PrepareOptions(workers=1))
    (tmp_path / "sweep.yaml").write_text(json.dumps({**REAL, "dataset": str(tmp_path / "dataset")}))
    whole, broken, log = tmp_path / "whole", tmp_path / "broken", tmp_path / "log"
    left: list[tuple[int, float]] = []
    try:
        driver = search("run", tmp_path / "sweep.yaml", "--experiment", whole, log=log)
        assert driver.wait(900) == 0, log.read_text()
        driver = search("run", tmp_path / "sweep.yaml", "--experiment", broken, log=log)
        left += kill_after(driver, broken / "trials" / "0000" / "epochs.jsonl", 2)
        driver = search("resume", broken, log=log)
        left += kill_after(driver, broken / "trials" / "0001" / "epochs.jsonl", 1)
        driver = search("resume", broken, log=log)
        assert driver.wait(900) == 0, log.read_text()
    finally:
        driver.kill()
        clear_away(left)
    expected, experiment = read_experiment(whole), read_experiment(broken)
    assert [reported(trial) for trial in experiment.trials] == [reported(trial) for trial in expected.trials]
    assert experiment.best is not None and expected.best is not None
    assert (experiment.best.trial, experiment.best.score) == (expected.best.trial, expected.best.score)
    assert len(experiment.provenance["resumed"]) == 2
    check_logs(experiment)
