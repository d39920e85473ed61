"""A cluster on this machine that grows from no worker: Ray's real autoscaler, with the nodes as processes.

Ray's own AutoscalingCluster begins and ends with `ray stop --force`, which ends every Ray of the machine.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

_OBJECT_STORE = 80_000_000

_COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
    "cluster_synced_files",
)

WITHOUT_TOKEN = {"RAY_AUTH_MODE": "disabled"}
"""For the processes of such a cluster and those that join it, whatever token this machine has."""


@contextmanager
def growing_cluster(worker: dict[str, float], most: int, idle_minutes: float = 0.1) -> Iterator[str]:
    """Start a head without CPUs whose autoscaler adds up to `most` workers with these resources; yield its address."""
    folder = Path(tempfile.mkdtemp(prefix="rt", dir="/tmp"))  # Short: Ray's sockets lie there.
    address = f"127.0.0.1:{free_port()}"
    (folder / "cluster.json").write_text(json.dumps(_config(address, worker, most, idle_minutes)))
    words = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--num-cpus=0", "--num-gpus=0"]
    words += [f"--port={address.partition(':')[2]}", f"--ray-client-server-port={free_port()}"]
    words += ["--node-ip-address=127.0.0.1", "--include-dashboard=false", f"--object-store-memory={_OBJECT_STORE}"]
    words += [f"--temp-dir={folder}", f"--autoscaling-config={folder / 'cluster.json'}"]
    environment = os.environ | WITHOUT_TOKEN | {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    with (folder / "log").open("w") as log:
        head = subprocess.Popen(words, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        await_port(address, head, folder / "log")
        yield address
    finally:
        end_processes(head)
        shutil.rmtree(folder, ignore_errors=True)


def _config(address: str, worker: dict[str, float], most: int, idle_minutes: float) -> dict[str, Any]:
    return {
        "cluster_name": "growing",
        "max_workers": most,
        "idle_timeout_minutes": idle_minutes,
        "upscaling_speed": 10.0,
        "provider": {
            "type": "fake_multinode",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "gcs_address": address,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {
                "resources": {**worker, "object_store_memory": _OBJECT_STORE},
                "node_config": {},
                "min_workers": 0,
                "max_workers": most,
            },
        },
        "head_node_type": "ray.head.default",
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{name: [] for name in _COMMANDS},
    }


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def await_port(address: str, head: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = address.partition(":")
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        assert head.poll() is None, log.read_text()
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def end_processes(head: subprocess.Popen[bytes]) -> None:
    """End the head and all that it started; the workers are its grandchildren."""
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(head.pid).children(recursive=True)
        for process in [*started, head]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(started, timeout=10)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    head.wait()
