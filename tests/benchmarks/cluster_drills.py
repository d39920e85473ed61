"""Failure drills on test hosts: a worker's raylet killed, a link cut for a minute, a full disk, a driver killed twice.

As root, with openssh-server, rsync and iproute2 installed:

    python -m tests.benchmarks.cluster_drills raylet link disk driver

Each drill runs a sweep over a head and two workers, does harm in the middle of it, and prints how long the sweep took
to recover. It checks that nothing is lost: every trial is accounted for, the best configuration is the best one
reported, no trial stays open, and no process is left on any host. Trials sleep as GPU trials would, but for the driver
drill: that is a real sweep over scikit-learn's digits, resumed by the README's commands.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.cluster_tests.hosts import SHARED, missing
from tests.cluster_tests.onprem import DRIVER, STORE, OnPrem, best, digits, onprem, trials, wait_until

EPOCHS, SECONDS = 8, 1.5
REAL_EPOCHS = 300  # A trial must last longer than the start of a worker: until then the first worker takes every trial.
PATIENCE = 600.0

Harm = Callable[[OnPrem, float], None]


@dataclass(frozen=True)
class Drill:
    """The harm, the host whose next trial shows that it is over (None: any), and whether the driver is hurt.

    There are as many `trials` as keep the sweep going until then.
    """

    harm: Harm
    host: str | None
    trials: int = 24
    resumed: bool = False


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
        print(cluster.doctor("--shared", str(SHARED), "--least-gb", "0.1", "--wait", "240").stdout, flush=True)
        # The disk stays full, and a node that can start no process makes trials fail: that drill comes last.
        drills = sorted(options.drills, key=lambda name: DRILLS[name].harm is fill_disk)
        lost = [name for name in drills if not drill(cluster, name)]
        cluster.down()
        left = cluster.left_behind()
    print(f"processes left behind: {len(left)}", *left, sep="\n    ")
    print(f"drills that lost something: {', '.join(lost) or 'none'}")
    return 1 if lost or left else 0


def drill(cluster: OnPrem, name: str) -> bool:
    """Run a sweep, do the harm in its middle, and say what came of it; return whether nothing was lost."""
    print(f"--- {name}", flush=True)
    chosen, began = DRILLS[name], time.monotonic()
    words = (real_sweep if chosen.resumed else sleeping_sweep)(cluster, name)
    with running(cluster, name, ["ray", "submit", cluster.file, "cluster/submit.py", "--", *words]) as sweep:
        wait_until(lambda: busy(cluster, name) or sweep.poll() is not None, PATIENCE)
        assert busy(cluster, name), f"no trial ended on one of the workers: {log(cluster, name)}"
        say(began, "trials have run on both workers; doing the harm")
        harmed = datetime.now()
        chosen.harm(cluster, began)
        sweep.wait(timeout=PATIENCE)
    say(began, f"the sweep ended with exit status {sweep.returncode}")
    if chosen.resumed:
        resume_twice(cluster, name, began)
    recovery(cluster, name, harmed, chosen.host)
    return account(cluster, name, chosen.trials)


def sleeping_sweep(_: OnPrem, name: str) -> list[str]:
    numbers = ["--trials", str(DRILLS[name].trials), "--epochs", str(EPOCHS), "--seconds", str(SECONDS)]
    return [DRIVER, f"{SHARED}/{name}", *numbers, "--no-early-stopping"]


def real_sweep(cluster: OnPrem, name: str) -> list[str]:
    changes = {"dataset": digits(cluster), "store": STORE, "trials": DRILLS[name].trials, "trial.weights": "random"}
    changes |= {"trial.epochs": REAL_EPOCHS, "trial.patience": REAL_EPOCHS, "early_stopping.kind": "none"}
    changes["checkpoint_every"] = 1
    changes |= {"trial.backbone": "mobilenet_v2", "space.unfrozen_layers": "[0,20]"}
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    return ["search/sweeps/digits_demo.yaml", "--experiment", f"{SHARED}/{name}/experiment", *words]


@contextmanager
def running(cluster: OnPrem, name: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on the laptop beside the body; what it prints is added to the drill's log."""
    with (cluster.hosts.folder / f"{name}.log").open("a") as file:
        command = cluster.hosts.command("laptop", command, {"RAY_USAGE_STATS_ENABLED": "0"})
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            yield process
        finally:
            process.kill()


def log(cluster: OnPrem, name: str) -> str:
    """The end of what a drill's commands printed."""
    lines = (cluster.hosts.folder / f"{name}.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-25:])


def busy(cluster: OnPrem, name: str) -> bool:
    """Say whether both workers have ended a trial, and so are in the next one: the harm hits trials in their middle."""
    experiment = cluster.shared(name) / "experiment"
    # Written by the first trial, when the study is whole.
    if not any(experiment.glob("trials/*/epochs.jsonl")):
        return False
    return {"worker1", "worker2"} <= {trial["host"] for trial in trials(experiment)}


def kill_driver(cluster: OnPrem, began: float) -> None:
    """kill -9 of the process that suggests, decides and records; its trials must end with it."""
    holder = json.loads((cluster.shared("driver") / "experiment" / ".driver.json").read_text())
    before = len(training(cluster))
    assert before, "no process of a trial is seen, so their end would show nothing"
    cluster.hosts.run(holder["host"], "kill", "-9", str(holder["pid"]))
    killed = time.monotonic()
    gone = wait_until(lambda: not training(cluster), 120)
    took = f"ended within {time.monotonic() - killed:.0f} s" if gone else "DID NOT END in 120 s"
    say(began, f"the driver on {holder['host']} is killed; the {before} processes of its trials {took}")


def training(cluster: OnPrem) -> list[str]:
    """The processes of trials, on all hosts, under the name that `tune.with_resources` gives to every trainable."""
    lines = [line for host in cluster.hosts.names for line in cluster.ray_processes(host)]
    return [line for line in lines if line.startswith("ray::ResourceTrainable")]


def resume_twice(cluster: OnPrem, name: str, began: float) -> None:
    """Go on by `ray submit … resume` until a trial has ended, kill that driver too, and go on by `cluster resume`."""
    experiment = f"{SHARED}/{name}/experiment"
    resumed = datetime.now()
    command = ["ray", "submit", cluster.file, "cluster/submit.py", "--", "resume", experiment]
    with running(cluster, name, command) as sweep:
        assert wait_until(lambda: ended_since(cluster, name, resumed), PATIENCE), log(cluster, name)
        seconds = (datetime.now() - resumed).total_seconds()
        say(began, f"`ray submit … resume`: the next trial ended {seconds:.0f} s after that was typed")
        kill_driver(cluster, began)
        sweep.wait(timeout=PATIENCE)
    resumed = datetime.now()
    with running(cluster, name, [*cluster.job_words("resume"), experiment, "--name", "again", "--follow"]) as sweep:
        assert wait_until(lambda: ended_since(cluster, name, resumed), PATIENCE), log(cluster, name)
        seconds = (datetime.now() - resumed).total_seconds()
        say(began, f"`python -m cluster resume`: the next trial ended {seconds:.0f} s after that was typed")
        sweep.wait(timeout=PATIENCE)
    say(began, f"the resumed sweep ended with exit status {sweep.returncode}")


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


def ended_since(cluster: OnPrem, name: str, moment: datetime, host: str | None = None) -> list[datetime]:
    """When trials that ran to their end did so after a moment, in order; on one host, or on any.

    One without a host only had its end recorded: it was decided when the driver was killed.
    """
    recorded = [trial for trial in trials(cluster.shared(name) / "experiment") if trial["ended"] and trial["host"]]
    ended = [trial["ended"] for trial in recorded if host in (None, trial["host"])]
    return sorted(end for end in ended if end > moment)


def recovery(cluster: OnPrem, name: str, harmed: datetime, host: str | None) -> None:
    """Print how long after the harm trials ended again: anywhere, and on the host that was hurt."""
    for place in dict.fromkeys((None, host)):
        ended = ended_since(cluster, name, harmed, place)
        after = f"{(ended[0] - harmed).total_seconds():.0f} s after the harm" if ended else "never again in this sweep"
        print(f"    recovery: the next trial{f' on {place}' if place else ''} ended {after}", flush=True)


def account(cluster: OnPrem, name: str, expected: int) -> bool:
    """Print what the records say; return whether every trial is accounted for."""
    experiment = cluster.shared(name) / "experiment"
    recorded = trials(experiment)
    states = Counter(trial["state"] for trial in recorded)
    hosts = Counter(trial["host"] for trial in recorded)
    reported = max(trial["value"] for trial in recorded if trial["value"] is not None)
    handed = best(experiment)["score"] if (experiment / "best.json").exists() else None
    print(f"    trials {dict(states)} on {dict(hosts)}; best reported {reported:.4f}, handed over {handed}")
    numbers = [trial["number"] for trial in recorded]
    whole = numbers == list(range(expected)) and not states["RUNNING"] and not states["WAITING"]
    wait_until(lambda: not training(cluster), 30)
    still = training(cluster)
    if still:
        print("    processes of trials that are still there:", *still, sep="\n    ")
    if not (whole and handed == reported):
        print(log(cluster, name))
    return whole and handed == reported and not still


def say(began: float, text: str) -> None:
    print(f"    {time.monotonic() - began:6.1f} s  {text}", flush=True)


DRILLS = {
    "raylet": Drill(kill_raylet, "worker1"),
    "link": Drill(cut_link, "worker1", trials=72),
    "disk": Drill(fill_disk, "worker2"),
    "driver": Drill(kill_driver, None, trials=9, resumed=True),
}

if __name__ == "__main__":
    sys.exit(main())
