"""Ray session: a local one, or a running cluster that is joined."""

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.services import canonicalize_bootstrap_address
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.tune.credentials import credentials_handed_on
from search.tune.head import JOIN_SECONDS, await_head, said_after
from search.tune.resources import Node
from trainables.device import usable_cores
from trainables.errors import UserError

_HOST_AND_PORT = re.compile(r"[^/]+:\d+")
CHECKOUT = Path(__file__).resolve().parents[2]

# What a working_dir must not carry to a cluster: environments, data, records.
_EXCLUDES = [
    ".git",
    ".venv",
    "**/__pycache__",
    ".*_cache",
    "/runs",
    "/demo",
    "/data",
    "/build",
    "*.tfrecord",
    "*.keras",
]

# Ray Tune's own loggers, reporter and signal handler give way to ours (search/callbacks, search/tune/interrupt.py).
_TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Ray's own snapshots of all trials, whose cost grows with each; nothing reads them, the study is the record.
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # The old output engine is the one that can be silenced.
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


@contextmanager
def ray_session(address: str | None, gpus: int | None = None) -> Iterator[list[Node]]:
    """Have Ray running, and yield the nodes that trials may use.

    A local Ray has this machine's GPUs, or as many as `gpus` says (which may exist in name only, for tests).

    With an address (or RAY_ADDRESS) the cluster there is joined, and the checkout travels in the runtime
    environment; otherwise, or with the address "local", a Ray of this machine's own is started without a dashboard,
    and ended afterwards. A Ray that is already running in this process is used as it is.

    Raises:
        UserError: nothing answers at the address, or Ray cannot start here.
    """
    with _environment():
        if ray.is_initialized():
            with credentials_handed_on():
                yield nodes_of_trials()
            return
        _start(address, gpus)
        try:
            with credentials_handed_on():
                yield nodes_of_trials()
        finally:
            ray.shutdown()


def nodes_of_trials() -> list[Node]:
    """Return the nodes of the cluster that are up and offer CPUs."""
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(int(node["CPU"]), node.get("GPU", 0.0)) for node in alive if node.get("CPU", 0) >= 1]


def on_node(node: str, function: Callable[[], object]) -> Any:
    """Begin a function on the node of an id, beside its trials; return Ray's reference to what it will return."""
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(function).remote()


@contextmanager
def _environment() -> Iterator[None]:
    """Ray Tune's settings and the path to the checkout, for this process and the workers that inherit from it."""
    # Workers of a local Ray inherit the environment; the checkout is not installed, and may not be the current folder.
    path = os.pathsep.join(dict.fromkeys([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    settings = {**_TUNE_SETTINGS, "PYTHONPATH": path}
    before = {key: os.environ.get(key) for key in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value


def _start(address: str | None, gpus: int | None) -> None:
    given = address or os.environ.get("RAY_ADDRESS")
    if given and given != "local":
        _join(given, "the key address" if address else "RAY_ADDRESS")
        return
    # Without "local", Ray would join a cluster that it finds on this machine.
    _own_token()
    with _in_one_line("cannot reach Ray on this machine"), _on_this_machine_only():
        # Its metrics would be open to anybody who reaches the port.
        quiet = {"enable_metrics_collection": False}
        _init(address="local", num_cpus=usable_cores(), num_gpus=gpus, include_dashboard=False, _system_config=quiet)


@contextmanager
def _on_this_machine_only() -> Iterator[None]:
    """Have a Ray that starts in the body listen on 127.0.0.1 alone: it takes `_node_ip_address` for any but that."""
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _own_token() -> None:
    """Make the token readable for its user only: with the one that Ray makes, every user could run tasks here."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with suppress(OSError):  # Ray says itself what is wrong.
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if file.stat().st_uid == os.geteuid() and file.stat().st_mode & 0o077:
                file.chmod(0o600)
            return
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_hex(32))


def _join(address: str, said_by: str) -> None:
    """Join a cluster, and say so: `auto` may be anybody's on this machine."""
    if address != "auto" and "://" not in address and not _HOST_AND_PORT.fullmatch(address):
        raise UserError(f"{said_by}: must be HOST:PORT, auto, local or ray://HOST:PORT, not {address!r}")
    environment = {"working_dir": str(CHECKOUT), "excludes": _EXCLUDES, "env_vars": _TUNE_SETTINGS}
    own, name = (
        "--set address=local starts one of our own",
        f"auto, as {said_by} says" if address == "auto" else address,
    )
    with _in_one_line(f"cannot reach the cluster at {name}", f"; {own}" if address == "auto" else ""):
        found = str(canonicalize_bootstrap_address(address)) if address == "auto" else address
        if _HOST_AND_PORT.fullmatch(found):
            await_head(found, said_by)
        with said_after(f"waiting      Ray at {found} has not answered for {JOIN_SECONDS:.0f} s; Ctrl-C ends this"):
            _init(address=address, runtime_env=environment)
    print(f"cluster      joined the Ray at {found}, as {said_by} says; {own}", flush=True)


def _init(**options: Any) -> None:
    ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)


@contextmanager
def _in_one_line(what: str, remedy: str = "") -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # Ray raises a bare one when its own processes do not come up in time.
        if "AF_UNIX path length" in str(error):
            remedy = "; set RAY_TMPDIR to a shorter folder, such as /tmp"
        raise UserError(f"{what}: {' '.join(str(error).split())}{remedy}") from None
