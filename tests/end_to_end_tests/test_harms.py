"""What a person sees, and how soon, when something is taken from a running sweep: real Ray, real server, real disk.

The trials train nothing (tests/search_tests/synthetic.py). `-s` prints the table that docs/sweeps.md has in words.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from search.records import read_epochs, read_experiment
from tests.checkout import ROOT
from tests.search_tests.postgres import PASSWORD, USER, restartable

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 6, 5


class Ended(NamedTuple):
    """How a sweep ended that was harmed: `seconds` after it."""

    status: int
    said: str
    seconds: float

    def line(self, begin: str) -> str:
        """The one line that begins so; it is printed with the time."""
        [found] = [line for line in self.said.splitlines() if line.startswith(begin)]
        print(f"\n{self.seconds:6.1f} s, status {self.status}: {found}")
        assert "Traceback" not in self.said
        return found


def command(folder: Path, *options: str) -> list[str]:
    sizes = "--trials", str(TRIALS), "--epochs", str(EPOCHS), "--seconds", "1"
    return [sys.executable, "-m", "tests.search_tests.killed_driver", str(folder), *sizes, *options]


def harmed(folder: Path, harm: Callable[[psutil.Process], object], *options: str) -> Ended:
    """Run a sweep, and do the harm after its first trial's second epoch."""
    log = folder.parent / f"{folder.name}.log"
    folder.mkdir(exist_ok=True)
    with log.open("w") as out:
        driver = subprocess.Popen(command(folder, *options), cwd=ROOT, stdout=out, stderr=out)
    try:
        epochs, deadline = folder / "experiment" / "trials" / "0000" / "epochs.jsonl", time.monotonic() + 240
        while len(read_epochs(epochs)) < 2 and time.monotonic() < deadline and driver.poll() is None:
            time.sleep(0.05)
        assert driver.poll() is None, log.read_text()
        harm(psutil.Process(driver.pid))
        began = time.monotonic()
        status = driver.wait(300)
        return Ended(status, log.read_text(), time.monotonic() - began)
    finally:
        for process in psutil.Process(driver.pid).children(recursive=True) if driver.poll() is None else []:
            process.kill()
        driver.kill()


def resumed(folder: Path) -> None:
    """The sweep goes on to its end, and has every trial once."""
    done = subprocess.run(command(folder), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    whole(folder)


def whole(folder: Path) -> None:
    trials = read_experiment(folder / "experiment").trials
    assert len(trials) == TRIALS and {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_a_process_of_the_local_ray_is_killed(tmp_path: Path, name: str) -> None:
    def kill(driver: psutil.Process) -> None:
        [victim] = [child for child in driver.children(recursive=True) if child.name().startswith(name[:15])]
        victim.kill()

    ended = harmed(tmp_path / "sweep", kill)
    assert ended.status == 2 and "resume" in ended.line("error: ") and ended.seconds < 30
    resumed(tmp_path / "sweep")


def test_the_database_server_is_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with restartable() as (address, restart):
        storage = f"postgresql://{USER}:{PASSWORD}@{address}/postgres"
        ended = harmed(tmp_path / "sweep", lambda driver: restart(8.0), "--storage", storage)
        assert ended.status == 0, ended.said
        assert "does not answer" in ended.line("warning: storage: ") and PASSWORD not in ended.said
        whole(tmp_path / "sweep")


def test_the_experiment_is_removed(tmp_path: Path) -> None:
    ended = harmed(tmp_path / "sweep", lambda driver: shutil.rmtree(tmp_path / "sweep" / "experiment"))
    assert ended.status == 2 and "was removed while the sweep ran" in ended.line("error: ")
    assert "next " not in ended.said.splitlines()[-1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB. Where none can be mounted the test skips."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place]).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_the_disk_fills_up(small_disk: Path) -> None:
    def fill(driver: psutil.Process) -> None:
        with (small_disk / "fill").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    ended = harmed(small_disk / "sweep", fill)
    assert ended.status == 2 and "disk is full" in ended.line("error: ")
    (small_disk / "fill").unlink()
    resumed(small_disk / "sweep")
