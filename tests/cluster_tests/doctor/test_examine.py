import socket
from dataclasses import replace
from typing import Any

import pytest
import ray

from cluster.doctor.examine import (
    NodeAnswer,
    check_answers,
    check_clocks,
    check_disks,
    check_gpus,
    check_nodes,
    check_shared,
    check_token,
    check_versions,
    examine,
)


def node(address: str, gpus: float = 0.0, **seen: Any) -> NodeAnswer:
    usual = {
        "host": f"host{address[-1]}",
        "versions": {"python": "3.11.7", "ray": "2.60.0"},
        "drivers": [],
        "tensorflow_gpus": None,
        "free_gb": {"/tmp": 50.0},
        "used": {"/tmp": 0.5},
        "auth_mode": "token",
        "token_mode": "600",
    }
    return NodeAnswer(address, gpus, {**usual, **seen})


HEAD, WORKER = node("10.0.0.1"), node("10.0.0.2")


def test_a_worker_that_did_not_join_is_named() -> None:
    found = check_nodes(["10.0.0.1", "10.0.0.2"], ["10.0.0.1"], 120)
    assert not found.ok
    assert "1 of 2 nodes joined within 120 s, missing: 10.0.0.2" in found.text


@pytest.mark.parametrize(("expected", "ok"), [(2, True), (1, True), (3, False)])
def test_a_number_of_nodes_is_a_minimum(expected: int, ok: bool) -> None:
    assert check_nodes(expected, ["10.0.0.1", "10.0.0.2"], 0).ok is ok


def test_all_expected_nodes_is_well() -> None:
    assert check_nodes(["a", "b"], ["b", "a"], 0).ok


def test_a_node_that_runs_no_tasks_is_named_with_the_reason() -> None:
    found = check_answers([HEAD, replace(WORKER, seen={}, error="no space left on device")])
    assert [result.text for result in found] == ["10.0.0.2 does not run tasks: no space left on device"]


def test_versions_that_differ_say_which_is_where() -> None:
    other = node("10.0.0.2", versions={"python": "3.11.7", "ray": "2.59.0"})
    found = check_versions([HEAD, other])
    assert [(result.ok, result.text) for result in found] == [
        (False, "ray is 2.60.0 on host1 (10.0.0.1); 2.59.0 on host2 (10.0.0.2)")
    ]
    assert check_versions([HEAD, WORKER])[0].ok


def test_a_package_that_is_missing_everywhere_is_a_problem() -> None:
    bare = {"python": "3.11.7", "tensorflow": "missing"}
    assert not check_versions([node("10.0.0.1", versions=bare), node("10.0.0.2", versions=bare)])[0].ok


def test_gpus_that_tensorflow_does_not_see_are_a_problem() -> None:
    blind = node("10.0.0.2", 4.0, tensorflow_gpus=0, drivers=["NVIDIA L4, 580.1"] * 4)
    seeing = node("10.0.0.3", 1.0, tensorflow_gpus=1, drivers=["NVIDIA L4, 580.1"])
    found = check_gpus([HEAD, blind, seeing])
    assert [result.ok for result in found] == [False, True]
    assert "host2 (10.0.0.2): Ray hands out 4, TensorFlow sees 0 (NVIDIA L4, 580.1)" in found[0].text


def test_gpus_that_ray_does_not_hand_out_are_a_problem() -> None:
    assert not check_gpus([node("10.0.0.2", 0.0, tensorflow_gpus=2, drivers=["NVIDIA L4, 580.1"])])[0].ok


def test_no_gpu_anywhere_is_well() -> None:
    assert check_gpus([HEAD, WORKER])[0].ok


def test_little_room_and_a_full_disk_are_problems() -> None:
    small = node("10.0.0.1", free_gb={"/tmp": 1.0})
    full = node("10.0.0.2", free_gb={"/tmp": 30.0}, used={"/tmp": 0.97})
    assert [result.text for result in check_disks([small, full], 10)] == [
        "host1 (10.0.0.1): 1.0 GB free in /tmp, need 10",
        "host2 (10.0.0.2): /tmp is 97% full; Ray stops at 95%",
    ]
    assert check_disks([HEAD], 10)[0].ok


def test_a_clock_is_blamed_only_beyond_what_the_asking_itself_took() -> None:
    assert not check_clocks([HEAD, replace(WORKER, clock=-3.0, clock_error=0.1)])[0].ok
    assert check_clocks([HEAD, replace(WORKER, clock=3.0, clock_error=2.0)])[0].ok


def test_a_cluster_without_a_token_is_a_problem() -> None:
    assert not check_token([HEAD, node("10.0.0.2", auth_mode="")], 401, {})[0].ok
    assert not check_token([HEAD], 200, {})[0].ok
    assert check_token([HEAD, WORKER], 401, {"host2": 0})[0].ok


def test_a_token_that_others_can_read_is_a_problem() -> None:
    found = check_token([HEAD, node("10.0.0.2", token_mode="644")], 401, {})
    assert [result.text for result in found] == ["host2 (10.0.0.2): others can read the token (mode 644); chmod 600"]


def test_an_open_dashboard_is_a_problem() -> None:
    assert "over the network" in check_token([HEAD], 401, {"host2": 200})[0].text


def test_a_place_that_is_not_shared_names_who_misses_what() -> None:
    found = check_shared("/mnt/x", {}, {"host1": [], "host2": ["host1"]})
    assert [result.text for result in found] == ["/mnt/x: host2 does not see what host1 wrote; it is not one storage"]
    assert not check_shared("/mnt/x", {"host1": "cannot write there: read-only"}, {})[0].ok
    assert check_shared("/mnt/x", {}, {"host1": [], "host2": []})[0].ok


def test_an_address_of_nobody_is_a_problem_after_the_stated_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray would wait for minutes"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    (result,) = examine(address, 1, [], 10, 0.1)
    assert result.line() == f"PROBLEM  cluster   nothing answers at {address} within 0 s; is Ray started there?"
