"""Sweeps on a cluster whose GPU workers come from none: Ray's own autoscaler starts them for the sweep's trials."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT
from tests.cluster_tests.growing_cluster import WITHOUT_TOKEN, growing_cluster
from tests.cluster_tests.noting import notes_in, together

pytestmark = pytest.mark.slow


# Each in a process of its own: this one may have a Ray already.
_SWEEP = """
import json, sys
from pathlib import Path
import ray
from search.sweep import run_sweep
from tests.cluster_tests.noting import NotingTrial
from tests.search_tests.example import sweep

environment = {"env_vars": {"PYTHONPATH": sys.argv[4]}}
ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False, runtime_env=environment)
stay = {"early_stopping": {"kind": "none"}, "resources": json.loads(sys.argv[3])}
run_sweep(sweep(Path(sys.argv[2]), trials=6, trial={"epochs": 4}, max_failures=0, **stay), NotingTrial)
"""

_UNTIL_GONE = """
import sys, time
import ray

def workers():
    return sum(node["Alive"] and node["Resources"].get("GPU", 0) > 0 for node in ray.nodes())

ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
while workers():
    time.sleep(0.5)
"""


def started(script: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | WITHOUT_TOKEN, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str], seconds: float = 300) -> str:
    text, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, text
    return text


def sweep(address: str, folder: Path, resources: dict[str, Any], awaited: int) -> subprocess.Popen[str]:
    (folder / "awaited").write_text(str(awaited))
    return started(_SWEEP, address, folder, json.dumps(resources), ROOT)


def test_workers_come_from_none_as_trials_ask_and_go_when_the_sweep_is_over(tmp_path: Path) -> None:
    with growing_cluster({"CPU": 2, "GPU": 1}, most=2) as address:
        text = said(sweep(address, tmp_path, {"gpus_per_trial": 1}, awaited=2))
        said(started(_UNTIL_GONE, address), 120)
    assert "waiting      no node offers a GPU yet; the autoscaler may start some" in text
    notes = notes_in(tmp_path)
    assert len(notes) == 24  # 6 trials of 4 epochs: none was lost.
    nodes = {note["node"] for note in notes}
    assert len(nodes) == 2
    assert together(notes) == 2 and max(together(notes, node=node) for node in nodes) == 1


def test_a_stated_number_of_slots_is_asked_for_and_a_driver_that_is_killed_leaves_no_worker(tmp_path: Path) -> None:
    resources = {"gpus_per_trial": 0.5, "threads_per_trial": 1, "concurrent_trials": 4}
    with growing_cluster({"CPU": 2, "GPU": 1}, most=2) as address:
        driver = sweep(address, tmp_path, resources, awaited=4)
        try:
            while together(notes_in(tmp_path)) < 4:
                assert driver.poll() is None
                time.sleep(0.1)
        finally:
            driver.kill()
        text, _ = driver.communicate()
        said(started(_UNTIL_GONE, address), 120)
    assert "no node offers 0.5 of a GPU yet" in text
    notes = notes_in(tmp_path)
    nodes = {note["node"] for note in notes}
    assert len(nodes) == 2
    assert together(notes) == 4 and [together(notes, node=node) for node in nodes] == [2, 2]
