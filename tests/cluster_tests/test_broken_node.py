"""A sweep over two nodes of which one can start no process, because its environment is gone: no trial is lost."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from search.records import read_experiment
from tests.checkout import ROOT
from tests.cluster_tests.growing_cluster import WITHOUT_TOKEN, await_port, end_processes, free_port

pytestmark = pytest.mark.slow

# Waits for the second node, has it broken, and runs a sweep that needs more slots than the first one has.
_SWEEP = """
import sys, time
from pathlib import Path
import ray
from search.sweep import run_sweep
from search.tune import quarantine
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import with_faults
from trainables.errors import run_command

address, folder, environment = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
quarantine.ASK_SECONDS, quarantine.ANSWER_SECONDS = 5.0, 15.0
ray.init(address, logging_level="ERROR", log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": sys.argv[4]}})
while len([node for node in ray.nodes() if node["Alive"]]) < 2:
    time.sleep(0.2)
environment.unlink()
resources = {"concurrent_trials": 3, "threads_per_trial": 1, "gpus_per_trial": 0}
stay = {"early_stopping": {"kind": "none"}, "max_failures": 0, "resources": resources}
config = sweep(folder, trials=5, trial={"epochs": 3}, **stay)
sys.exit(run_command(lambda: run_sweep(config, with_faults({}, seconds=0.1)) and 0))
"""


@contextmanager
def node(ray: Path, folder: Path, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a node as a process of this machine."""
    command = [ray.with_name("python"), ray, "start", "--block", "--node-ip-address=127.0.0.1", "--num-gpus=0"]
    command += ["--object-store-memory=80000000", *words]
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | WITHOUT_TOKEN, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        end_processes(process)


def test_a_node_that_can_start_no_process_is_left_out_and_no_trial_is_lost(tmp_path: Path) -> None:
    ray = Path(sys.executable).with_name("ray")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="rt", dir="/tmp"))  # Short: Ray's sockets lie there.
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        environment = folder / "environment"
        environment.symlink_to(sys.prefix)
        address = f"127.0.0.1:{free_port()}"
        ports = [f"--port={address.partition(':')[2]}", f"--ray-client-server-port={free_port()}"]
        head = ["--head", "--num-cpus=1", "--include-dashboard=false", f"--temp-dir={folder}", *ports]
        ports = ["--min-worker-port=20000", "--max-worker-port=20999"]
        first = stack.enter_context(node(ray, folder, "head", *head, *ports))
        await_port(address, first, folder / "head.log")
        ports = ["--min-worker-port=21000", "--max-worker-port=21999"]
        stack.enter_context(
            node(environment / "bin" / "ray", folder, "worker", f"--address={address}", "--num-cpus=4", *ports)
        )
        words = [sys.executable, "-c", _SWEEP, address, str(tmp_path), str(environment), str(ROOT)]
        done = subprocess.run(
            words, cwd=ROOT, env=os.environ | WITHOUT_TOKEN, capture_output=True, text=True, timeout=400
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("can start no process, because of a full disk or a broken environment; ") == 1
    assert "; trials go to 1 other; `python -m cluster doctor` says more" in done.stderr
    trials = read_experiment(tmp_path / "experiment").trials
    assert [(trial.state, sorted(trial.values)) for trial in trials] == [("COMPLETE", [1, 2, 3])] * 5
