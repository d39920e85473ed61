"""Functions that the doctor runs on each node."""

import contextlib
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Any

# Imports nothing of ours: this module travels to the node by value.

PACKAGES = ("ray", "tensorflow", "keras", "optuna", "numpy")


def look(ask_tensorflow: bool) -> dict[str, Any]:
    """Describe this node; `ask_tensorflow` imports TensorFlow (in a process of its own) to count its GPUs."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "missing"
    drivers = []  # One line per GPU: name and driver version.
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        drivers = done.stdout.splitlines() if done.returncode == 0 else []
    # Ray's session, and the home folder.
    folders = dict.fromkeys([os.environ.get("RAY_TMPDIR", "/tmp"), str(Path.home())])
    usage = {folder: shutil.disk_usage(folder) for folder in folders}
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return {
        "host": socket.gethostname(),
        "versions": versions,
        "drivers": drivers,
        "tensorflow_gpus": _tensorflow_gpus() if ask_tensorflow or drivers else None,
        "free_gb": {folder: disk.free / 1e9 for folder, disk in usage.items()},
        "used": {folder: 1 - disk.free / disk.total for folder, disk in usage.items()},
        "auth_mode": os.environ.get("RAY_AUTH_MODE", ""),
        # Its permissions as in `chmod`, "" without a token.
        "token_mode": format(stat.S_IMODE(token.stat().st_mode), "o") if token.exists() else "",
    }


def _tensorflow_gpus() -> int | str:
    """How many GPUs TensorFlow sees, or why it cannot say. Ray hides them from a process that did not ask for one."""
    code = "import tensorflow as tf; print('GPUs', len(tf.config.list_physical_devices('GPU')))"
    env = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, env=env)
    counts = [line for line in done.stdout.splitlines() if line.startswith("GPUs ")]
    if counts:
        return int(counts[-1].split()[1])
    return (done.stderr.strip().splitlines() or ["TensorFlow ended without a word"])[-1]


def clock() -> float:
    """Return the time here (seconds since the epoch)."""
    return time.time()


def ask_dashboard(address: str) -> int:
    """Ask the dashboard at `address` (host:port) without a token; return its HTTP status, 0 where nothing answers."""
    try:
        with urllib.request.urlopen(f"http://{address}/api/version", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
    except OSError:
        return 0


def write_mark(place: str, name: str) -> str:
    """Write a small file at a place (a path, or a URL that pyarrow knows); return "" or what went wrong."""
    try:
        files, folder = _open(place)
        files.create_dir(folder, recursive=True)
        with files.open_output_stream(f"{folder}/{name}") as stream:
            stream.write(name.encode())
    except Exception as error:
        return f"cannot write there: {' '.join(str(error).split())[:200]}"
    return ""


def read_marks(place: str, names: list[str], seconds: float = 10.0) -> list[str]:
    """Return which of the files are not seen at the place, after some patience with slow network file systems."""
    files, folder = _open(place)
    deadline = time.monotonic() + seconds
    while True:
        unseen = []
        for name in names:
            try:
                with files.open_input_stream(f"{folder}/{name}") as stream:
                    whole = stream.read() == name.encode()
            except OSError:
                whole = False
            if not whole:
                unseen.append(name)
        if not unseen or time.monotonic() > deadline:
            return unseen
        time.sleep(0.5)


def remove_marks(place: str, names: list[str]) -> None:
    """Remove the files again."""
    files, folder = _open(place)
    for name in names:
        with contextlib.suppress(OSError):
            files.delete_file(f"{folder}/{name}")


def _open(place: str) -> tuple[Any, str]:
    from pyarrow import fs

    return fs.FileSystem.from_uri(place)  # type: ignore[no-any-return]
