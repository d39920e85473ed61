"""Several hosts on one machine: network namespaces on a bridge, each with its own processes, home, /tmp and sshd.

By hand, as root, with openssh-server, rsync and iproute2 installed: a shell on the laptop, from which the head and the
workers are reached over ssh and nothing else is:

    python -m tests.cluster_tests.hosts FOLDER -- bash

Whether this machine lets anyone make namespaces (exit status 0), or why not (1):

    python -m tests.cluster_tests.hosts --allowed
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.checkout import ROOT

NEEDED = {
    "sshd": "openssh-server",
    "rsync": "rsync",
    "ip": "iproute2",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
ADDRESSES = {"laptop": "10.77.0.1", "head": "10.77.0.10", "worker1": "10.77.0.11", "worker2": "10.77.0.12"}

# The shared storage: on the head and the workers, not on the laptop.
SHARED = Path("/mnt")

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_UNSHARE = ["unshare", "--pid", "--mount", "--net", "--uts", "--ipc", "--fork", "--mount-proc", "--kill-child=KILL"]

# What a host and the laptop's bridge need of the machine, each for a moment.
_TRY = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
hostname probe
ip link add bridge type bridge
ip link add one type veth peer name other
"""

# Sees a fresh pid, mount, network, host name and IPC namespace; bash is process 1, and reaps what loses its parent.
_INIT = r"""
set -e
mount --make-rprivate /
n=0
for kept in $KEPT; do n=$((n+1)); mkdir -p "$FOLDER/kept$n"; mount --rbind "$kept" "$FOLDER/kept$n"; done
mkdir -p "$FOLDER/home" "$FOLDER/tmp" "$FOLDER/var"
chmod 700 "$FOLDER/home"
[ -z "$TMP_SIZE" ] || mount -t tmpfs -o "size=$TMP_SIZE" tmpfs "$FOLDER/tmp"
folder=$FOLDER
mount -t tmpfs tmpfs /run; mkdir /run/sshd
mount -t tmpfs -o size=400m tmpfs /dev/shm
[ -z "$NFS" ] || mount --bind "$NFS" /mnt
cp "$folder"/sshd_config "$folder"/authorized_keys "$folder"/host_key /run/sshd/
exec 3< "$folder" # held open, because the binds below may hide it
mount --bind "$folder/home" "$HOME"
mount --bind /proc/self/fd/3/tmp /tmp
n=0
for kept in $KEPT; do n=$((n+1)); mkdir -p "$kept"; mount --rbind /proc/self/fd/3/kept$n "$kept"; done
exec 3<&-
hostname "$NAME"
ip link set lo up
# The pipe says that the host is up, once sshd listens.
[ "$NAME" = laptop ] || /usr/sbin/sshd -f /run/sshd/sshd_config -E /run/sshd/log
echo up
exec 1>&-
while :; do sleep 3600 & wait $!; done
"""

_SSHD = """\
HostKey /run/sshd/host_key
AuthorizedKeysFile /run/sshd/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""


def missing() -> str | None:
    """Say why hosts cannot be made here, or return None."""
    absent = sorted({package for command, package in NEEDED.items() if not _find(command)})
    return f"these packages are missing: {' '.join(absent)}" if absent else forbidden()


def forbidden() -> str | None:
    """Say why this machine does not let hosts be made, whatever is installed, or return None: it is tried."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    done = subprocess.run([*_UNSHARE, "bash", "-c", _TRY], env={"PATH": _PATH}, capture_output=True, text=True)
    return None if done.returncode == 0 else " ".join(done.stderr.split()) or "namespaces are not allowed here"


class Hosts:
    """A laptop, a head and workers that reach each other by their `ADDRESSES` and nothing outside.

    Everything dies with this process: each host is a pid namespace whose first process is killed with its parent,
    and its network namespace goes with the last of its processes. Nothing is made in the machine's own network.
    `tmp_size` limits a host's /tmp, where Ray keeps its session ("500m").
    """

    def __init__(self, folder: Path, workers: int = 2, tmp_size: Mapping[str, str] = {}) -> None:
        self.folder = folder.resolve()
        self.names = ["laptop", "head", *(f"worker{n}" for n in range(1, workers + 1))]
        self.tmp_size = tmp_size
        self.pids: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.nfs = self.folder / "nfs"
            self.nfs.mkdir(exist_ok=True)
            self.key = self.folder / "key"
            _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)])
            for name in self.names:
                self._start(name, stack)
            self._connect()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def home(self, name: str) -> Path:
        """Return where a host's home folder lies on the machine."""
        return self.folder / name / "home"

    def command(self, name: str, words: Sequence[str], env: Mapping[str, str] = {}, cwd: Path = ROOT) -> list[str]:
        """Return the command that runs `words` on a host, with no environment but `env` and the usual."""
        path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        usual = {"HOME": str(Path.home()), "PATH": path, "LANG": "C.UTF-8", "TERM": "dumb", **env}
        inside = ["env", "-i", f"--chdir={cwd}", *(f"{key}={value}" for key, value in usual.items()), *words]
        return ["nsenter", "--target", str(self.pids[name]), "--all", *inside]

    def run(
        self, name: str, *words: str, env: Mapping[str, str] = {}, check: bool = True, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host to its end; stdout and stderr come back together as stdout."""
        done = subprocess.run(
            self.command(name, words, env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(f"{name}: {' '.join(words)}: exit status {done.returncode}\n{done.stdout}")
        return done

    def cut(self, name: str) -> None:
        """Cut a host's link."""
        self.run("laptop", "ip", "link", "set", f"to-{name}", "down")

    def mend(self, name: str) -> None:
        """Bring a host's link back."""
        self.run("laptop", "ip", "link", "set", f"to-{name}", "up")

    def processes(self, name: str) -> list[str]:
        """Return the command lines of a host's processes."""
        return self.run(name, "ps", "-eo", "args", "--no-headers").stdout.splitlines()

    def _start(self, name: str, stack: ExitStack) -> None:
        folder = self.folder / name
        folder.mkdir()
        (folder / "sshd_config").write_text(_SSHD)
        shutil.copy(f"{self.key}.pub", folder / "authorized_keys")
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")])
        env = {
            "PATH": _PATH,
            "HOME": str(Path.home()),
            "NAME": name,
            "FOLDER": str(folder),
            "NFS": str(self.nfs) if name != "laptop" else "",
            "TMP_SIZE": self.tmp_size.get(name, ""),
            "KEPT": " ".join(_kept()),
        }
        process = subprocess.Popen(
            ["nice", "-n", "10", "setpriv", "--pdeathsig", "KILL", *_UNSHARE, "bash", "-c", _INIT],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(folder / "init.log").open("w"),
            start_new_session=True,
        )
        stack.callback(_end, process)
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            raise RuntimeError(f"{name} did not come up: {(folder / 'init.log').read_text()}")
        self.pids[name] = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        (folder / "pid").write_text(str(self.pids[name]))

    def _connect(self) -> None:
        """Put a bridge on the laptop, and a cable from it to each other host."""
        laptop = ["nsenter", "--target", str(self.pids["laptop"]), "--net", "ip"]
        _run([*laptop, "link", "add", "bridge", "type", "bridge"])
        _run([*laptop, "address", "add", f"{ADDRESSES['laptop']}/24", "dev", "bridge"])
        _run([*laptop, "link", "set", "bridge", "up"])
        for name in self.names[1:]:
            pid = str(self.pids[name])
            ends = ["link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", pid]
            _run([*laptop, *ends])
            _run([*laptop, "link", "set", f"to-{name}", "master", "bridge", "up"])
            host = ["nsenter", "--target", pid, "--net", "ip"]
            _run([*host, "address", "add", f"{ADDRESSES[name]}/24", "dev", "eth0"])
            _run([*host, "link", "set", "eth0", "up"])
            # Leads nowhere; Ray finds its own address by asking which interface would be used for the world.
            _run([*host, "route", "add", "default", "dev", "eth0"])


def _kept() -> list[str]:
    """Folders that a host's own home and /tmp would hide: the checkout and Python."""
    needed = [ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parents[1]]
    hidden = [Path.home(), Path("/tmp")]
    kept = {path for path in needed if any(path.is_relative_to(folder) for folder in hidden)}
    return sorted(str(path) for path in kept if not any(path != other and path.is_relative_to(other) for other in kept))


def _find(command: str) -> str | None:
    return shutil.which(command, path=_PATH)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a host's first process by killing its parent, and wait until the whole pid namespace is gone."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while any(Path("/proc", child).exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)


def main() -> int:
    """Run a command on the laptop, or say whether there may be one."""
    if sys.argv[1:] == ["--allowed"]:
        reason = forbidden()
        print(reason or "namespaces can be made here")
        return 1 if reason else 0
    folder, _, *command = sys.argv[1:]
    with Hosts(Path(folder)) as hosts:
        shutil.copy(hosts.key, hosts.home("laptop") / "key.pem")
        return subprocess.run(hosts.command("laptop", command)).returncode


if __name__ == "__main__":
    sys.exit(main())
