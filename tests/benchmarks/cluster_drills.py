"""Failure drills on test hosts: a worker's raylet killed, a link cut for a minute, a full disk; and what came of it.

As root, with openssh-server, rsync and iproute2 installed:

    python -m tests.benchmarks.cluster_drills raylet link disk

Each drill runs a sweep over a head and two workers, does harm in the middle of it, and checks that nothing is lost:
every trial is accounted for, the best configuration is the best one reported, and no trial stays open.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.cluster_tests.hosts import SHARED, missing
from tests.cluster_tests.onprem import DRIVER, OnPrem, best, onprem, trials, wait_until

TRIALS, EPOCHS, SECONDS = 12, 8, 1.5
PATIENCE = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drills", nargs="+", choices=sorted(DRILLS))
    options = parser.parse_args()
    if reason := missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        onprem(Path(folder) / "hosts", tmp_size={"worker2": "400m"}) as cluster,
    ):
        print(cluster.doctor("--shared", str(SHARED), "--least-gb", "0.1").stdout, flush=True)
        lost = [name for name in options.drills if not drill(cluster, name)]
        cluster.down()
        left = [line for host in cluster.hosts.names for line in cluster.ray_processes(host)]
    print(f"processes left behind: {len(left)}")
    print(f"drills that lost something: {', '.join(lost) or 'none'}")
    return 1 if lost or left else 0


def drill(cluster: OnPrem, name: str) -> bool:
    """Run a sweep, do the harm in its middle, and say what came of it; return whether nothing was lost."""
    print(f"--- {name}", flush=True)
    words = [f"{SHARED}/{name}", "--trials", str(TRIALS), "--epochs", str(EPOCHS), "--seconds", str(SECONDS)]
    command = ["ray", "submit", cluster.file, "cluster/submit.py", "--", DRIVER, *words, "--no-early-stopping"]
    began = time.monotonic()
    log = cluster.hosts.folder / f"{name}.log"
    with log.open("w") as file:
        sweep = subprocess.Popen(
            cluster.hosts.command("laptop", command), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
        try:
            assert wait_until(lambda: busy(cluster, name), PATIENCE), log.read_text()[-3000:]
            say(began, "trials have run on both workers; doing the harm")
            DRILLS[name](cluster, began)
            sweep.wait(timeout=PATIENCE)
        finally:
            sweep.kill()
    say(began, f"the sweep ended with exit status {sweep.returncode}")
    return account(cluster, name, log)


def busy(cluster: OnPrem, name: str) -> bool:
    """Say whether both workers have ended a trial, and so are in the next one: the harm hits trials in their middle."""
    experiment = cluster.shared(name) / "experiment"
    # Written by the first trial, when the study is whole.
    if not any(experiment.glob("trials/*/epochs.jsonl")):
        return False
    return {"worker1", "worker2"} <= {trial["host"] for trial in trials(experiment)}


def kill_raylet(cluster: OnPrem, began: float) -> None:
    """kill -9 of a worker's raylet; its autoscaler should start the node again."""
    pids = cluster.hosts.run("worker1", "pgrep", "-x", "raylet").stdout.split()
    cluster.hosts.run("worker1", "kill", "-9", *pids)
    away = time.monotonic()
    again = wait_until(lambda: new_raylet(cluster, pids), 180)
    say(began, f"worker1 {f'is back after {time.monotonic() - away:.0f} s' if again else 'did not come back in 180 s'}")


def new_raylet(cluster: OnPrem, before: list[str]) -> bool:
    now = cluster.hosts.run("worker1", "pgrep", "-x", "raylet", check=False).stdout.split()
    return bool(set(now) - set(before))


def cut_link(cluster: OnPrem, began: float) -> None:
    """No network to a worker for a minute."""
    cluster.hosts.cut("worker1")
    say(began, "the link to worker1 is cut")
    time.sleep(60)
    cluster.hosts.mend("worker1")
    say(began, "the link to worker1 is back")
    mended = time.monotonic()
    well = wait_until(lambda: cluster.doctor("--wait", "1", "--least-gb", "0.1", check=False).returncode == 0, 180)
    say(
        began,
        f"the doctor {f'is content after {time.monotonic() - mended:.0f} s' if well else 'found problems for 180 s'}",
    )


def fill_disk(cluster: OnPrem, began: float) -> None:
    """A worker whose /tmp, where Ray keeps its session and its logs, has no byte left."""
    fill = "dd if=/dev/zero of=/tmp/full bs=1M; df --output=avail /tmp | tail -1"
    cluster.hosts.run("worker2", "bash", "-c", fill)
    say(began, "worker2: /tmp is full")
    report = cluster.doctor("--wait", "1", "--least-gb", "0.1", check=False).stdout
    say(began, "; ".join(line for line in report.splitlines() if line.startswith(("PROBLEM", "doctor"))))


def account(cluster: OnPrem, name: str, log: Path) -> bool:
    """Print what the records say; return whether every trial is accounted for."""
    experiment = cluster.shared(name) / "experiment"
    recorded = trials(experiment)
    states = Counter(trial["state"] for trial in recorded)
    hosts = Counter(trial["host"] for trial in recorded)
    reported = max(trial["value"] for trial in recorded if trial["value"] is not None)
    handed = best(experiment)["score"] if (experiment / "best.json").exists() else None
    print(f"    trials {dict(states)} on {dict(hosts)}; best reported {reported:.4f}, handed over {handed}")
    fine = len(recorded) == TRIALS and not states["RUNNING"] and not states["WAITING"] and handed == reported
    if not fine:
        print("\n".join(log.read_text(errors="replace").splitlines()[-25:]))
    return fine


def say(began: float, text: str) -> None:
    print(f"    {time.monotonic() - began:6.1f} s  {text}", flush=True)


DRILLS: dict[str, Callable[[OnPrem, float], None]] = {"raylet": kill_raylet, "link": cut_link, "disk": fill_disk}

if __name__ == "__main__":
    sys.exit(main())
