"""A cluster of three hosts and a laptop, in network namespaces of this machine: the README's commands, as typed."""

import json
import socket
from collections.abc import Iterator

import psutil
import pytest

from tests.cluster_tests.hosts import Hosts, missing
from tests.cluster_tests.onprem import DRIVER, SHARED, STORE, OnPrem, best, digits, in_ci, onprem, trials

pytestmark = pytest.mark.slow

WORKERS = ("worker1", "worker2")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPrem]:
    reason = missing()
    if reason:
        if in_ci():
            pytest.fail(f"{reason}, and CI must not skip")
        pytest.skip(reason)
    with onprem(tmp_path_factory.mktemp("hosts")) as running:
        yield running


def test_the_doctor_finds_every_node_and_nothing_wrong(cluster: OnPrem) -> None:
    """Note 17: with its default autoscaler Ray would leave one worker of two out."""
    # On a busy machine a worker may miss the 30 s that Ray gives it to start, and is then started again.
    report = cluster.doctor("--shared", str(SHARED), "--wait", "240").stdout
    assert "3 of 3 nodes joined" in report
    assert "PROBLEM" not in report
    assert report.rstrip().endswith("doctor: all well")


def test_the_doctor_names_all_problems_at_once(cluster: OnPrem) -> None:
    token = cluster.hosts.home("worker1") / ".ray" / "auth_token"
    token.chmod(0o644)
    done = cluster.doctor("--nodes", "4", "--wait", "1", "--least-gb", "1e6", "--shared", "/tmp/of-each", check=False)
    token.chmod(0o600)
    assert done.returncode == 1
    problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert {line.split()[1] for line in problems} == {"nodes", "disk", "token", "shared"}
    assert sum("does not see what" in line for line in problems) == 3


def test_a_submitted_sweep_trains_on_several_hosts_and_its_result_comes_back(cluster: OnPrem) -> None:
    """Note 14: `ray submit` copies one file; it finds the rest on the head."""
    changes = {"dataset": digits(cluster), "store": STORE, "trials": 4, "trial.epochs": 8, "trial.weights": "random"}
    # Trials must outlast the start of a worker: the first one would run them all otherwise (tests/benchmarks/LOG.md).
    changes |= {"trial.backbone": "mobilenet_v2", "space.unfrozen_layers": "[140,154]"}
    # Heads that begin with the probe read shallow depths here, behind which nothing long is trained.
    changes |= {"trial.head": "study", "trial.head_start": "random"}
    changes |= {"trial.augment_views": 1, "early_stopping.kind": "none"}
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    cluster.submit("search/sweeps/digits_demo.yaml", "--experiment", f"{SHARED}/first", *words)
    cluster.laptop("ray", "rsync-down", cluster.file, f"{SHARED}/first/", "/tmp/fetched/")
    fetched = cluster.hosts.folder / "laptop" / "tmp" / "fetched"
    ended = trials(fetched)
    assert [trial["state"] for trial in ended] == ["COMPLETE"] * 4
    assert len({trial["host"] for trial in ended}) >= 2
    assert best(fetched)["score"] == pytest.approx(max(trial["value"] for trial in ended))


def test_the_final_stage_runs_on_the_cluster(cluster: OnPrem) -> None:
    words = ("--epochs", "1", "--views", "1", "--threshold", "0", "--store", STORE)
    cluster.submit("-m", "trainables", "retrain", f"{SHARED}/first/best.json", *words)
    final = cluster.shared("first/final")
    assert 0 <= json.loads((final / "metrics.json").read_text())["stages"]["before"]["test"]["macro_f1"] <= 1
    assert (final / "model.keras").stat().st_size > 1e5  # A handed-over probe has the backbone's first blocks alone.


def test_jobs_share_the_cluster_and_one_is_stopped_cleanly(cluster: OnPrem) -> None:
    """A sweep takes every slot unless it is told how many; the next one waits."""
    long = (f"{SHARED}/long", "--trials", "200", "--seconds", "1", "--concurrent", "1")
    cluster.job("submit", "--name", "long", "--", DRIVER, *long)
    done = cluster.job("submit", "--name", "short", "--follow", "--", DRIVER, f"{SHARED}/short", "--trials", "3")
    assert "job short: SUCCEEDED" in done.stdout
    listed = cluster.job("list").stdout
    assert [line.split()[:2] for line in listed.splitlines() if "driver.py" in line] == [
        ["long", "RUNNING"],
        ["short", "SUCCEEDED"],
    ]
    assert "job long: STOPPED" in cluster.job("stop", "long").stdout
    assert "best val_macro_f1" in cluster.job("logs", "long").stdout
    assert not [trial for trial in trials(cluster.shared("long/experiment")) if trial["state"] == "RUNNING"]
    assert best(cluster.shared("long/experiment"))["score"] > 0


def test_an_unknown_job_is_one_line(cluster: OnPrem) -> None:
    done = cluster.job("status", "nothing", check=False)
    assert done.returncode == 2
    assert "error: there is no job nothing; there are: " in done.stdout


def test_the_token_is_asked_for_and_kept_to_itself(cluster: OnPrem) -> None:
    """Notes 15 and 16: the dashboard answers on the head alone, and nobody without the token."""
    ask = ["python", "-c", "import ray; ray.init('auto', log_to_driver=False); print('JOINED')"]
    without = cluster.hosts.run("head", *ask, env={"RAY_AUTH_MODE": "disabled"}, check=False, timeout=90)
    assert without.returncode != 0
    assert "JOINED" not in without.stdout
    code = "import urllib.request as u; u.urlopen('http://10.77.0.10:8265/api/version', timeout=5)"
    assert "Connection refused" in cluster.hosts.run("worker1", "python", "-c", code, check=False).stdout

    token = cluster.token()
    for name in ("head", *WORKERS):
        file = cluster.hosts.home(name) / ".ray" / "auth_token"
        assert file.read_text() == token
        assert file.stat().st_mode & 0o777 == 0o600
        assert not any(token in line for line in cluster.hosts.processes(name))
        logs = (cluster.hosts.folder / name / "tmp").rglob("*")
        leaks = [
            path for path in logs if path.is_file() and not path.is_symlink() and token.encode() in path.read_bytes()
        ]
        assert leaks == []


def test_traffic_stays_between_the_hosts(cluster: OnPrem) -> None:
    """Each host has one cable, to the laptop's bridge; the bridge has no other, and no route leads on from there."""
    hosts = cluster.hosts
    for name in ("head", *WORKERS):
        assert _links(hosts, name) == {"lo", "eth0"}
    assert _links(hosts, "laptop") == {"lo", "bridge", *(f"to-{name}" for name in ("head", *WORKERS))}
    assert json.loads(hosts.run("laptop", "ip", "-json", "route", "show", "default").stdout) == []
    for name in hosts.names:
        for address in _addresses_of_this_machine():
            assert "unreachable" in hosts.run(name, "python", "-c", _REACH, address, check=False).stdout


def test_down_leaves_no_process_on_any_host(cluster: OnPrem) -> None:
    """`ray down` alone leaves Ray's processes on every worker of such a cluster. Last in this file, on purpose."""
    cluster.down()
    assert cluster.left_behind() == []


# A port of the machine that listens would be needed for more; without a route, not even a refusal comes back.
_REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=1)
except ConnectionRefusedError:
    print("reached")
except OSError:
    print("unreachable")
else:
    print("reached")
"""


def _links(hosts: Hosts, name: str) -> set[str]:
    links = json.loads(hosts.run(name, "ip", "-json", "link", "show").stdout)
    return {link["ifname"] for link in links}


def _addresses_of_this_machine() -> list[str]:
    """What hosts would reach first, if anything led out of them."""
    found = [address for addresses in psutil.net_if_addrs().values() for address in addresses]
    return [address.address for address in found if address.family == socket.AF_INET and address.address != "127.0.0.1"]
