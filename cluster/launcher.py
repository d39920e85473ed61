"""Ray's cluster launcher, the token that its clusters ask for, and errors.

Ray 2.60 takes the token from ~/.ray/auth_token (or the file that RAY_AUTH_TOKEN_PATH names) and asks for it when
RAY_AUTH_MODE is `token`. https://docs.ray.io/en/latest/ray-security/token-auth.html
"""

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import yaml

# Longer than the 5 s between two tries of ssh.
FORWARD_SECONDS = 60.0

# Where `ray up` leaves the cluster file on the head.
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")

_SSH = "ssh -n -i ~/ray_bootstrap_key.pem -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
_SSH += " -o LogLevel=ERROR -o BatchMode=yes -o ConnectTimeout=10"

# As Ray's launcher runs commands itself: our setup puts Ray on the path in ~/.bashrc.
_STOP = 'bash --login -c -i "source ~/.bashrc; ray stop"'


class ClusterError(Exception):
    """Nothing can go on. The message is one line: what is wrong, and what would help. Exit status 2."""


def one_line(error: Exception) -> str:
    """Return up to 300 characters of an error's message, without line breaks."""
    return " ".join(str(error).split())[:300]


def token_file() -> Path:
    """Return the path of the token, which may not exist yet."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def make_token() -> tuple[Path, bool]:
    """Make a token unless there is one; return its file, and whether it is new.

    `ray get-auth-token --generate` prints the token and leaves a file that everyone may read.

    Raises:
        ClusterError: the file is empty.
    """
    file = token_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.exists():
        if not file.read_text().strip():
            raise ClusterError(f"{file} is empty; remove it, and run this again")
        file.chmod(0o600)
        return file, False
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secrets.token_hex(32))
    return file, True


def use_token() -> None:
    """Make this process and its children use the token, if there is one and RAY_AUTH_MODE is not set.

    Call it before Ray is imported, which reads the mode then, once.
    """
    if token_file().exists() or os.environ.get("RAY_AUTH_TOKEN"):
        os.environ.setdefault("RAY_AUTH_MODE", "token")


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


def doctor_on_head(file: Path, shared: Sequence[str], nodes: int | None, least_gb: float, wait: float) -> int:
    """Run the doctor on the head and print its report; return 0 when all is well, 1 with problems."""
    read_cluster(file)
    words = ["python", "-m", "cluster", "doctor", "--least-gb", f"{least_gb:g}", "--wait", f"{wait:g}"]
    words += [word for place in shared for word in ("--shared", place)]
    words += [] if nodes is None else ["--nodes", str(nodes)]
    status, output = on_head(file, f"cd ~/raretune && {shlex.join(words)}")
    report = [line for line in output.splitlines() if line.startswith(("ok ", "PROBLEM ", "doctor: ", "error: "))]
    if any(line.startswith("doctor: ") for line in report):
        print("\n".join(report))
        return 1 if status else 0
    # No report came back: what ssh and Ray said is the only clue.
    print(output, file=sys.stderr)
    print(f"PROBLEM  cluster   the doctor could not run on the head of {file}; is it up? (`ray up`)")
    return 1


@contextmanager
def dashboard(file: Path) -> Iterator[str]:
    """Forward the head's dashboard to a free port of this machine's loopback; yield its address.

    Raises:
        ClusterError: the head cannot be reached.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
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
    if addresses := _own_machines(described):
        user = described["auth"]["ssh_user"]
        # The head first: its autoscaler would start a worker again that ended before it.
        stops = [f"({_SSH} {user}@{worker} '{_STOP}' || echo FAILED on {worker}) &" for worker in addresses[1:]]
        status, output = on_head(file, f"ray stop || echo FAILED on the head; {' '.join(stops)} wait")
        failed = [line for line in output.splitlines() if line.startswith("FAILED")]
        if status or failed:
            print(f"Ray may run on: {'; '.join(failed) or output}", file=sys.stderr)
    return subprocess.run([*_ray("down", file), "-y"], stdin=subprocess.DEVNULL).returncode


def read_cluster(file: Path) -> dict[str, Any]:
    """Read a cluster file.

    Raises:
        ClusterError: it is missing, or is not a cluster file.
    """
    try:
        described = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ClusterError(f"{file} cannot be read: {one_line(error)}") from None
    if not isinstance(described, dict) or "provider" not in described:
        raise ClusterError(f"{file} is not a cluster file: it has no `provider`; cluster/onprem.yaml is one")
    return described


def expected_nodes(file: Path = BOOTSTRAP) -> list[str] | int:
    """Return the nodes that a cluster file promises: their addresses, the head first, or how many at least.

    Raises:
        ClusterError: the file is missing.
    """
    file = file.expanduser()
    if not file.exists():
        raise ClusterError(f"how many nodes there should be is not known: {file} is not here; say --nodes N")
    described = read_cluster(file)
    kinds = described.get("available_node_types", {})
    head = described.get("head_node_type")
    least = 1 + sum(int(kind.get("min_workers", 0)) for name, kind in kinds.items() if name != head)
    return _own_machines(described) or least


def _own_machines(described: dict[str, Any]) -> list[str]:
    """Addresses of a cluster of one's own machines, the head first; none where a provider makes the machines."""
    provider = described["provider"]
    if provider["type"] != "local" or "worker_ips" not in provider:
        return []
    return [str(address) for address in (provider["head_ip"], *provider["worker_ips"])]


def _ray(verb: str, file: Path) -> list[str]:
    # The script beside this Python, whatever the PATH says.
    ray = Path(sys.executable).parent / "ray"
    return [str(ray) if ray.exists() else "ray", verb, str(file)]


def _wait_for(port: int, forward: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + FORWARD_SECONDS
    while time.monotonic() < deadline:
        if forward.poll() is not None:
            log.seek(0)
            last = log.read().decode(errors="replace").strip().splitlines()
            raise ClusterError(f"the dashboard cannot be reached: {last[-1] if last else 'ray dashboard ended'}")
        with socket.socket() as client:
            client.settimeout(1)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.3)
    raise ClusterError(f"the dashboard did not answer within {FORWARD_SECONDS:.0f} s; is the cluster up? (`ray up`)")
