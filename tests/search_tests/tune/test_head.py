"""search/tune/head.py: a head that is not there, and one that goes."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from search.tune import head
from trainables.errors import UserError


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_an_address_of_nobody_is_refused_after_a_stated_time(listening: socket.socket) -> None:
    where = address(listening)
    head.await_head(where, "RAY_ADDRESS", 0)
    listening.close()
    began = time.monotonic()
    said = rf"^nothing answers at {where}, where RAY_ADDRESS says that Ray runs, within 0 s; .* --set address=local"
    with pytest.raises(UserError, match=said):
        head.await_head(where, "RAY_ADDRESS", 0.1)
    assert time.monotonic() - began < 2
    assert head.JOIN_SECONDS == 30


def test_a_head_that_is_being_started_is_waited_for(listening: socket.socket) -> None:
    where = listening.getsockname()
    listening.close()
    late: list[socket.socket] = []
    timer = threading.Timer(0.3, lambda: late.append(socket.create_server(where)))
    timer.start()
    head.await_head(f"127.0.0.1:{where[1]}", "address", 10)
    assert late
    late[0].close()


def test_a_line_is_said_only_where_something_takes_long(capsys: pytest.CaptureFixture[str]) -> None:
    with head.said_after("slow", 0.05):
        time.sleep(0.2)
    with head.said_after("quick", 5):
        pass
    assert capsys.readouterr().err == "slow\n"


def test_a_head_that_goes_in_mid_sweep_is_said_with_the_way_to_go_on(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = listening.getsockname()
    monkeypatch.setattr(head, "_BETWEEN_LOOKS", 0.02)
    monkeypatch.setattr(head, "AWAY_SECONDS", 0.1)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address=address(listening)))
    said = ""

    def wait_for(text: str) -> None:
        nonlocal said
        deadline = time.monotonic() + 10
        while text not in said and time.monotonic() < deadline:
            time.sleep(0.02)
            said += capsys.readouterr().err
        assert text in said

    with head.head_watched(Path("runs/x")):
        time.sleep(0.3)
        assert capsys.readouterr().err == ""
        listening.close()
        wait_for("does not answer any more, and Ray ends a driver without one; nothing is lost: ")
        wait_for("`python -m search resume runs/x` goes on")
        with socket.create_server(where):
            wait_for("answers again")
    assert said.count("\n") == 2


def test_a_process_of_our_own_ray_that_died_ends_the_sweep_with_the_way_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[object] = []

    class Node:
        def dead_processes(self) -> list[tuple[str, None]]:
            return [("log_monitor", None), ("raylet", None)]

        def kill_all_processes(self, **_: bool) -> None:
            ended.append("killed")

    class Ended(BaseException):
        pass

    def leave(status: int) -> None:
        ended.append(status)
        raise Ended

    monkeypatch.setattr(ray._private.worker, "_global_node", Node())
    monkeypatch.setattr(head, "_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(head.os, "_exit", leave)
    with pytest.raises(Ended):
        head._watch_own(Path("runs/x"), threading.Event())
    assert ended == ["killed", 2]
    said = capsys.readouterr().err
    assert said.startswith("error: Ray's process raylet on this machine was killed or crashed; nothing is lost: ")
    monkeypatch.setattr(ray._private.worker, "_global_node", None)
    assert head.dead_process() is None
