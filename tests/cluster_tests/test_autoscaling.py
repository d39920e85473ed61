"""Sweeps on a cluster whose GPU workers come from none: Ray's own autoscaler starts them for the sweep's trials."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_tests.growing_cluster import WITHOUT_TOKEN, growing_cluster
from tests.cluster_tests.noting import notes_in, together

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

# Runs a sweep; then waits until the workers are gone again.
_SWEEP = """
import json, sys, time
from pathlib import Path
import ray
from search.sweep import run_sweep
from tests.cluster_tests.noting import NotingTrial
from tests.search_tests.example import sweep

def workers():
    return sum(node["Alive"] and node["Resources"].get("GPU", 0) > 0 for node in ray.nodes())

ray.init(sys.argv[2], logging_level="ERROR", log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": sys.argv[4]}})
print("workers before:", workers())
stay = {"early_stopping": {"kind": "none"}, "resources": json.loads(sys.argv[3])}
run_sweep(sweep(Path(sys.argv[1]), trials=6, trial={"epochs": 4}, max_failures=0, **stay), NotingTrial)
print("workers at the end:", workers())
while workers():
    time.sleep(1)
"""


def run(folder: Path, resources: dict[str, Any], awaited: int) -> tuple[str, list[dict[str, Any]]]:
    (folder / "awaited").write_text(str(awaited))
    with growing_cluster({"CPU": 2, "GPU": 1}, most=2) as address:
        words = [sys.executable, "-c", _SWEEP, str(folder), address, json.dumps(resources), str(ROOT)]
        environment = os.environ | WITHOUT_TOKEN
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, notes_in(folder)


def test_workers_come_from_none_as_trials_ask_and_go_when_the_sweep_is_over(tmp_path: Path) -> None:
    said, notes = run(tmp_path, {"gpus_per_trial": 1}, awaited=2)
    assert "workers before: 0" in said
    assert "waiting      no node offers a GPU yet; the autoscaler may start some" in said
    assert "workers at the end: 2" in said
    assert len(notes) == 24  # 6 trials of 4 epochs: none was lost.
    nodes = {note["node"] for note in notes}
    assert len(nodes) == 2
    assert together(notes) == 2 and max(together(notes, node=node) for node in nodes) == 1


def test_a_stated_number_of_trials_is_asked_for_at_once(tmp_path: Path) -> None:
    said, notes = run(tmp_path, {"gpus_per_trial": 0.5, "threads_per_trial": 1, "concurrent_trials": 4}, awaited=4)
    assert "no node offers 0.5 of a GPU yet" in said
    nodes = {note["node"] for note in notes}
    assert len(notes) == 24 and len(nodes) == 2
    assert together(notes) == 4 and max(together(notes, node=node) for node in nodes) == 2
