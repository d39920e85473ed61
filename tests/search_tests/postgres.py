"""A real PostgreSQL server for the tests: in a temporary folder, as a user of its own, on a free loopback port."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER, PASSWORD = "raretune", "s3cret-w0rd"


def binaries() -> Path:
    """The folder of initdb and pg_ctl. Where they are absent the test skips, but never in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    on_path = shutil.which("pg_ctl")
    if not found and not on_path:
        reason = "PostgreSQL's server is not installed (apt-get install postgresql)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found[-1].parent if found else Path(str(on_path)).parent


@contextmanager
def server() -> Iterator[str]:
    """Run a server that asks for a password; yield HOST:PORT."""
    with restartable() as (address, _):
        yield address


@contextmanager
def restartable() -> Iterator[tuple[str, Callable[[float], None]]]:
    """Run a server that asks for a password; yield HOST:PORT, and what restarts it after so many seconds without."""
    tools = binaries()
    # initdb refuses root; Debian's package brings a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="raretune-postgres-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user, user)

        def run(*command: str | Path) -> None:
            done = subprocess.run(list(map(str, command)), user=user, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

        data = folder / "data"
        run(tools / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "-N")
        port = _free_port()
        settings = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
        start = tools / "pg_ctl", "-D", data, "-l", folder / "log", "-o", settings, "-w", "-t", "120", "start"
        stop = tools / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"

        def restart(pause: float) -> None:
            run(*stop)
            time.sleep(pause)
            run(*start)

        run(*start)
        try:
            yield f"127.0.0.1:{port}", restart
        finally:
            run(*stop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
