"""What Ray's cluster launcher is asked to do over ssh: run a command on the head, forward its dashboard, end all."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import yaml

from cluster.errors import ClusterError

# Longer than the 5 s between two tries of ssh.
FORWARD_SECONDS = 60.0

_SSH = "ssh -n -i ~/ray_bootstrap_key.pem -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
_SSH += " -o LogLevel=ERROR -o BatchMode=yes -o ConnectTimeout=10"

# As Ray's launcher runs commands itself: our setup puts Ray on the path in ~/.bashrc.
_STOP = 'bash --login -c -i "source ~/.bashrc; ray stop"'


def on_head(file: Path, command: str) -> tuple[int, str]:
    """Run a shell command on the head of the cluster that `file` describes; return exit status and output."""
    done = subprocess.run(
        [*_ray("exec", file), command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout.replace("\r", "")


@contextmanager
def dashboard(file: Path) -> Iterator[str]:
    """Forward the head's dashboard to a free port of this machine's loopback; yield its address.

    Raises:
        ClusterError: the head cannot be reached.
    """
    port = _free_port()
    with tempfile.TemporaryFile() as log:
        forward = subprocess.Popen(
            [*_ray("dashboard", file), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_for(port, forward, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            # The whole group: ssh holds the connection, and would outlive the `ray` that started it.
            with suppress(ProcessLookupError):
                os.killpg(forward.pid, signal.SIGTERM)
            forward.wait()


def down(file: Path) -> int:
    """End Ray on every node, then the cluster; return the exit status of `ray down`.

    With machines of one's own, `ray down` ends Ray on the head alone, and leaves processes on every worker.
    """
    described = read_cluster(file)
    provider = described["provider"]
    if provider["type"] == "local" and "worker_ips" in provider:
        user = described["auth"]["ssh_user"]
        # The head first: its autoscaler would start a worker again that ended before it.
        workers = provider["worker_ips"]
        stops = [f"({_SSH} {user}@{worker} '{_STOP}' || echo FAILED on {worker}) &" for worker in workers]
        status, output = on_head(file, f"ray stop || echo FAILED on the head; {' '.join(stops)} wait")
        failed = [line for line in output.splitlines() if line.startswith("FAILED")]
        if status or failed:
            print(f"Ray may run on: {'; '.join(failed) or output}", file=sys.stderr)
    return subprocess.run([*_ray("down", file), "-y"], stdin=subprocess.DEVNULL).returncode


def read_cluster(file: Path) -> dict[str, Any]:
    """Read a cluster file.

    Raises:
        ClusterError: there is none, or it is not one.
    """
    try:
        described = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ClusterError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(described, dict) or "provider" not in described:
        raise ClusterError(f"{file} is not a cluster file: it has no `provider`; cluster/onprem.yaml is one")
    return described


def _ray(verb: str, file: Path) -> list[str]:
    # The script beside this Python, whatever the PATH says.
    ray = Path(sys.executable).parent / "ray"
    return [str(ray) if ray.exists() else "ray", verb, str(file)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, forward: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + FORWARD_SECONDS
    while time.monotonic() < deadline:
        if forward.poll() is not None:
            log.seek(0)
            last = log.read().decode(errors="replace").strip().splitlines()
            raise ClusterError(f"the dashboard cannot be reached: {last[-1] if last else 'ray dashboard ended'}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.3)
    raise ClusterError(f"the dashboard did not answer within {FORWARD_SECONDS:.0f} s; is the cluster up? (`ray up`)")
