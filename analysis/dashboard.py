"""TensorBoard and optuna-dashboard on one experiment, on this machine only, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from search.records import read_sweep_record, study_storage
from trainables.errors import UserError
from trainables.files.experiment import TENSORBOARD_FOLDER

LOOPBACK = "127.0.0.1"
START_SECONDS = 120
_POLL_SECONDS = 0.2

# The empty module says to TensorBoard that there is no TensorFlow: it needs none, and starts in a third of the time.
_TENSORBOARD = (
    "import sys, types; sys.modules['tensorboard.compat.notf'] = types.ModuleType('notf')\n"
    "from tensorboard.main import run_main; run_main()"
)
# The address of a study may hold a password, which must not stand in a command line that all users of a machine see.
_STUDY = "RARETUNE_STUDY"
_OPTUNA_DASHBOARD = (
    f"import os, sys; sys.argv.insert(1, os.environ.pop('{_STUDY}'))\nfrom optuna_dashboard._cli import main; main()"
)


class Server(NamedTuple):
    """A dashboard's process: the port it was given, and the file that it writes its complaints to."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]


def show_dashboards(experiment: Path | str, host: str, say: Callable[[str], None]) -> None:
    """Serve both dashboards on an experiment, running or ended, until KeyboardInterrupt or SIGTERM, which end both.

    Args:
        host: the address to listen on; any but loopback lets others see the sweep, and change its study.
        say: is given the lines for the user once both answer.

    Raises:
        UserError: the folder holds no sweep, `host` is no address of this machine, or a dashboard ends by itself.
    """
    folder, _ = read_sweep_record(experiment)
    with _sigterm_as_ctrl_c(), tensorboard(folder, host) as board, _optuna_dashboard(folder, host) as study:
        for server in (board, study):
            wait_until_it_answers(server, host)
        # Smoothing is for thousands of steps: with a dozen epochs it would draw the curves too low.
        curves = "#custom_scalars&_smoothingWeight=0"
        say(f"the curves of all trials          http://{host}:{board.port}/{curves}")
        say(f"every trial with its parameters   http://{host}:{board.port}/#hparams")
        say(f"history, importances, stops       http://{host}:{study.port}/dashboard")
        if host != LOOPBACK:
            say("warning: there is no password; anyone who reaches it sees the sweep and can change its study")
        say("Ctrl-C ends both.")
        while True:
            for server in (board, study):
                _check_alive(server)
            time.sleep(_POLL_SECONDS)


def tensorboard(folder: Path, host: str) -> AbstractContextManager[Server]:
    """TensorBoard on an experiment's runs, until the context ends; it may not answer yet."""
    title = f"{folder.name}: TensorBoard"
    arguments = ["--logdir", folder / TENSORBOARD_FOLDER, "--reload_interval", 5, "--window_title", title]
    return _serve("TensorBoard", _TENSORBOARD, host, 6006, arguments)


def _optuna_dashboard(folder: Path, host: str) -> AbstractContextManager[Server]:
    arguments, environment = ("--server", "wsgiref", "--quiet"), {_STUDY: study_storage(folder)}
    return _serve("optuna-dashboard", _OPTUNA_DASHBOARD, host, 8080, arguments, environment)


@contextmanager
def _serve(
    name: str, code: str, host: str, known_port: int, arguments: Sequence[object], environment: Mapping[str, str] = {}
) -> Iterator[Server]:
    """Serve by the port that the dashboard is known by, or by any free one where another holds it."""
    for port in (known_port, 0):
        with suppress(OSError), socket.create_server((host, port)) as tried:
            port = int(tried.getsockname()[1])
            break
    else:
        raise UserError(f"--host: nothing can listen on {host!r}; it must be an address of this machine")
    command = [sys.executable, "-c", code, *map(str, arguments), "--host", host, "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we end it together with its children.
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True, env={**os.environ, **environment}
        )
        try:
            yield Server(name, port, process, log)
        finally:
            # With what it started; by force where asking does not help.
            for how in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, how)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(5)


def wait_until_it_answers(server: Server, host: str) -> None:
    """Wait for a server's first answer.

    Raises:
        UserError: it ended by itself, or does not answer within `START_SECONDS`.
    """
    end = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), socket.create_connection((host, server.port), timeout=1):
            return
        _check_alive(server)
        if time.monotonic() > end:
            raise UserError(f"{server.name} does not answer on {host}:{server.port} within {START_SECONDS} s")
        time.sleep(_POLL_SECONDS)


def _check_alive(server: Server) -> None:
    if server.process.poll() is None:
        return
    server.log.seek(0)
    said = [line.strip() for line in server.log.read().decode(errors="replace").splitlines() if line.strip()]
    raise UserError(f"{server.name} ended by itself with status {server.process.returncode}: {' '.join(said[-1:])}")


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Without it `kill` would leave the servers running."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
