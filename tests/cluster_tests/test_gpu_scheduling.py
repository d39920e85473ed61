"""Fractional GPUs, with logical GPUs on a machine without any; each test in a process with a Ray of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

# Runs a sweep of trials that note when they were on which GPU, and prints what was together at most.
_SWEEP = """
import json, sys, time
from pathlib import Path
import ray
from search.sweep import run_sweep
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import SyntheticTrial

class Noting(SyntheticTrial):
    SECONDS = 0.3
    FOLDER = sys.argv[1]  # read here: the class travels by value, the arguments do not
    def step(self):
        start = time.time()
        result = super().step()
        gpus = ray.get_runtime_context().get_accelerator_ids()["GPU"]
        note = {"trial": self._settings["run"]["trial"], "start": start, "end": time.time(), "gpus": gpus}
        note["held"] = ray.get_runtime_context().get_assigned_resources()
        note["threads"] = self._settings["run"]["threads"]
        with Path(self.FOLDER, f"notes-{note['trial']}").open("a") as file:
            file.write(json.dumps(note) + chr(10))
        return result

ray.init(num_cpus=int(sys.argv[3]), num_gpus=int(sys.argv[2]), include_dashboard=False, logging_level="ERROR",
         object_store_memory=80_000_000, runtime_env={"env_vars": {"PYTHONPATH": "."}})
folder = Path(sys.argv[1])
stay = {"early_stopping": {"kind": "none"}, "resources": json.loads(sys.argv[4])}
config = sweep(folder, trials=6, trial={"epochs": 3}, **stay)
run_sweep(config, Noting)
"""


def run(folder: Path, gpus: int, cpus: int, resources: dict[str, Any]) -> list[dict[str, Any]]:
    words = [sys.executable, "-c", _SWEEP, str(folder), str(gpus), str(cpus), json.dumps(resources)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for file in sorted(folder.glob("notes-*")) for line in file.read_text().splitlines()]


def together(notes: list[dict[str, Any]], gpu: str | None = None) -> int:
    """The most epochs that ran at once (on one GPU)."""
    mine = [note for note in notes if gpu is None or note["gpus"] == [gpu]]
    return max(sum(other["start"] <= note["start"] < other["end"] for other in mine) for note in mine)


def test_four_trials_share_two_gpus_two_on_each(tmp_path: Path) -> None:
    notes = run(tmp_path, gpus=2, cpus=8, resources={"gpus_per_trial": 0.5})
    assert len(notes) == 18
    assert {tuple(note["gpus"]) for note in notes} == {("0",), ("1",)}
    assert together(notes) == 4
    assert max(together(notes, gpu) for gpu in ("0", "1")) == 2
    assert all(note["held"] == {"CPU": 2, "GPU": 0.5} and note["threads"] == 2 for note in notes)


def test_auto_gives_each_trial_a_gpu_of_its_own_and_cores_to_match(tmp_path: Path) -> None:
    notes = run(tmp_path, gpus=4, cpus=8, resources={})
    assert together(notes) == 4
    assert max(together(notes, gpu) for gpu in ("0", "1", "2", "3")) == 1
    assert all(note["held"] == {"CPU": 2, "GPU": 1} and note["threads"] == 2 for note in notes)
