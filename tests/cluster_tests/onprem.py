"""cluster/onprem.yaml brought up on the test hosts, by the commands that a user types on the laptop."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from tests.cluster_tests.hosts import ADDRESSES, ROOT, SHARED, Hosts
from trainables.data.commands import write_digits

DRIVER = "tests/cluster_tests/driver.py"

# On each host's own disk.
STORE = "/tmp/raretune-store"

# What a host runs when nothing of ours does.
_IDLE = ("bash -c", "sleep ", "sshd", "/usr/sbin/sshd", "ps ")


class OnPrem:
    """A cluster of the head and the workers; `file` is the cluster file's path on the laptop."""

    def __init__(self, hosts: Hosts, cpus: int = 1) -> None:
        self.hosts = hosts
        self.file = str(Path.home() / "onprem.yaml")
        self._cpus = cpus

    def write(self) -> None:
        """Make the cluster file out of the one that is shipped: its addresses, its key, and no pip install."""
        described = yaml.safe_load((ROOT / "cluster" / "onprem.yaml").read_text())
        names = [name for name in self.hosts.names if name not in ("laptop", "head")]
        described["provider"] |= {"head_ip": ADDRESSES["head"], "worker_ips": [ADDRESSES[name] for name in names]}
        described["auth"] = {"ssh_user": "root", "ssh_private_key": "~/key.pem"}
        described["file_mounts"]["~/raretune/tests"] = "tests"
        commands = [line for line in described["setup_commands"] if "pip install" not in line]
        assert len(commands) == len(described["setup_commands"]) - 1
        described["setup_commands"] = [f"ln -sfn {sys.prefix} ~/raretune-env", *commands]
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            described[key][-1] += f" --num-cpus={self._cpus} --object-store-memory=80000000"
        home = self.hosts.home("laptop")
        (home / "onprem.yaml").write_text(yaml.safe_dump(described))
        (home / "key.pem").write_bytes(self.hosts.key.read_bytes())
        (home / "key.pem").chmod(0o600)

    def up(self) -> None:
        """`python -m cluster token`, `ray up`."""
        self.write()
        self.laptop("python", "-m", "cluster", "token")
        self.laptop("ray", "up", "-y", self.file)

    def down(self) -> None:
        """`python -m cluster down`."""
        self.laptop("python", "-m", "cluster", "down", self.file)

    def laptop(self, *words: str, check: bool = True, timeout: float = 400) -> CompletedProcess[str]:
        """Run a command on the laptop, in the checkout."""
        return self.hosts.run("laptop", *words, env={"RAY_USAGE_STATS_ENABLED": "0"}, check=check, timeout=timeout)

    def doctor(self, *words: str, check: bool = True) -> CompletedProcess[str]:
        """`python -m cluster doctor` for this cluster."""
        return self.laptop("python", "-m", "cluster", "doctor", "--cluster", self.file, *words, check=check)

    def job(self, verb: str, *words: str, check: bool = True) -> CompletedProcess[str]:
        """`python -m cluster VERB` for this cluster."""
        return self.laptop(*self.job_words(verb), *words, check=check)

    def job_words(self, verb: str) -> list[str]:
        """Return the words of `python -m cluster VERB` for this cluster."""
        return ["python", "-m", "cluster", verb, "--cluster", self.file]

    def submit(self, *words: str, timeout: float = 400) -> CompletedProcess[str]:
        """`ray submit … cluster/submit.py -- …`."""
        return self.laptop("ray", "submit", self.file, "cluster/submit.py", "--", *words, timeout=timeout)

    def shared(self, name: str) -> Path:
        """Return where something on the shared storage lies on this machine."""
        return self.hosts.nfs / name

    def token(self) -> str:
        """Return the token, for checks that it is nowhere else."""
        return (self.hosts.home("laptop") / ".ray" / "auth_token").read_text()

    def ray_processes(self, name: str) -> list[str]:
        """Return the command lines of Ray's processes on a host."""
        return [line for line in self.hosts.processes(name) if "/ray/" in line or line.startswith(("ray::", "raylet"))]

    def left_behind(self, seconds: float = 20) -> list[str]:
        """Return what is still running on any host when `seconds` have passed: connections of ssh linger for ten."""

        def running() -> list[str]:
            lines = [f"{name}: {line}" for name in self.hosts.names for line in self.hosts.processes(name)]
            return [line for line in lines if not line.partition(": ")[2].startswith(_IDLE)]

        wait_until(lambda: not running(), seconds)
        return running()


@contextmanager
def onprem(folder: Path, cpus: int = 1, tmp_size: Mapping[str, str] = {}) -> Iterator[OnPrem]:
    """Make the hosts, and bring the cluster up; all of it is gone afterwards, however it ended."""
    with Hosts(folder, tmp_size=tmp_size) as hosts:
        cluster = OnPrem(hosts, cpus)
        cluster.up()
        yield cluster


def digits(cluster: OnPrem) -> str:
    """Prepare a few of scikit-learn's digits on the shared storage; return the dataset as every node sees it."""
    write_digits(cluster.shared("photos"), most=24, fewest=12)
    cluster.hosts.run("head", "python", "-m", "trainables", "prepare", f"{SHARED}/photos", f"{SHARED}/dataset")
    return f"{SHARED}/dataset"


def trials(experiment: Path) -> list[dict[str, Any]]:
    """Read what a sweep recorded: number, state, value, host and params of every trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{experiment / 'study.db'}")
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "value": trial.value,
            "host": trial.user_attrs.get("host"),
            "stop": trial.user_attrs.get("stop"),
            "epochs": dict(trial.intermediate_values),
            "ended": trial.datetime_complete,
        }
        for trial in study.trials
    ]


def best(experiment: Path) -> dict[str, Any]:
    """Read best.json."""
    handoff: dict[str, Any] = json.loads((experiment / "best.json").read_text())
    return handoff


def wait_until(true: Any, seconds: float) -> bool:
    """Wait until a function returns something true; say whether it did in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.5)
    return False


def in_ci() -> bool:
    """CI must not skip."""
    return bool(os.environ.get("CI"))


__all__ = ["DRIVER", "SHARED", "STORE", "OnPrem", "best", "digits", "in_ci", "onprem", "trials", "wait_until"]
