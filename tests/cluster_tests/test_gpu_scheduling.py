"""Fractional GPUs, with logical GPUs on a machine without any; each test in a process with a Ray of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT
from tests.cluster_tests.noting import notes_in, together

pytestmark = pytest.mark.slow


_SWEEP = """
import json, sys
from pathlib import Path
import ray
from search.sweep import run_sweep
from tests.cluster_tests.noting import NotingTrial
from tests.search_tests.example import sweep

ray.init(num_cpus=int(sys.argv[3]), num_gpus=int(sys.argv[2]), include_dashboard=False, logging_level="ERROR",
         object_store_memory=80_000_000, runtime_env={"env_vars": {"PYTHONPATH": "."}})
stay = {"early_stopping": {"kind": "none"}, "resources": json.loads(sys.argv[4])}
run_sweep(sweep(Path(sys.argv[1]), trials=6, trial={"epochs": 3}, **stay), NotingTrial)
"""


def run(folder: Path, gpus: int, cpus: int, resources: dict[str, Any]) -> list[dict[str, Any]]:
    (folder / "awaited").write_text("4")
    words = [sys.executable, "-c", _SWEEP, str(folder), str(gpus), str(cpus), json.dumps(resources)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return notes_in(folder)


def test_four_trials_share_two_gpus_two_on_each(tmp_path: Path) -> None:
    notes = run(tmp_path, gpus=2, cpus=8, resources={"gpus_per_trial": 0.5})
    assert len(notes) == 18
    assert {note["gpu"] for note in notes} == {"0", "1"}
    assert together(notes) == 4
    assert [together(notes, gpu=gpu) for gpu in ("0", "1")] == [2, 2]
    assert all(note["held"] == {"CPU": 2, "GPU": 0.5} and note["threads"] == 2 for note in notes)


def test_auto_gives_each_trial_a_gpu_of_its_own_and_cores_to_match(tmp_path: Path) -> None:
    notes = run(tmp_path, gpus=4, cpus=8, resources={})
    assert together(notes) == 4
    assert max(together(notes, gpu=gpu) for gpu in ("0", "1", "2", "3")) == 1
    assert all(note["held"] == {"CPU": 2, "GPU": 1} and note["threads"] == 2 for note in notes)
