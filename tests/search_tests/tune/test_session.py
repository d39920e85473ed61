"""search/tune/session.py: Ray here or elsewhere, and the checkout on its workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from ray._private.utils import validate_socket_filepath

from search.tune import session as ray_session
from search.tune.resources import Node
from trainables.device import usable_cores
from trainables.errors import UserError


def test_a_local_ray_has_this_machines_cores_and_its_workers_know_the_checkout(
    ray_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @ray.remote
    def checkout() -> str:
        import trainables.errors

        return str(trainables.errors.__file__)

    assert Path(ray.get(checkout.remote())).parents[1] == ray_session.CHECKOUT
    assert ray.cluster_resources()["CPU"] == usable_cores()


def test_a_ray_that_runs_already_is_used_and_left_running_and_the_environment_too(ray_here: None) -> None:
    before = dict(os.environ)
    with ray_session.ray_session(None) as nodes:
        assert nodes == [Node(usable_cores(), 1)]
        assert os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] == "1"
    assert ray.is_initialized()
    assert dict(os.environ) == before


@pytest.mark.parametrize("error", [ConnectionError("no one\nthere"), RuntimeError("no one\nthere")])
def test_a_cluster_that_does_not_answer_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def init(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray_session, "await_head", lambda *_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("what did not start need not be shut down"))
    line = r"^cannot reach the cluster at 192\.0\.2\.1:6379: no one there$"
    with pytest.raises(UserError, match=line), ray_session.ray_session("192.0.2.1:6379"):
        pass


@pytest.mark.parametrize(("address", "elsewhere"), [(None, ""), ("local", "head:6379")])
def test_without_an_address_ray_is_this_machines_own_even_beside_a_cluster(
    monkeypatch: pytest.MonkeyPatch, address: str | None, elsewhere: str
) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: given.update(options))
    monkeypatch.setattr(ray, "nodes", lambda: [])
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setenv("RAY_ADDRESS", elsewhere)
    with ray_session.ray_session(address):
        assert given["address"] == "local" and given["num_cpus"] == usable_cores()
        assert given["include_dashboard"] is False


def test_the_checkout_travels_to_a_cluster_without_environments_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: given.update(options))
    monkeypatch.setattr(
        ray,
        "nodes",
        lambda: [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 1.0}}],
    )
    monkeypatch.setattr(ray, "shutdown", lambda: given.update(ended=True))
    monkeypatch.setattr(ray_session, "await_head", lambda *where: given.update(where=where))
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with ray_session.ray_session(None) as nodes:
        assert [(node.cpus, node.gpus) for node in nodes] == [(8, 2.0)]
    assert given["address"] == "head:6379" and given["ended"] is True
    assert given["where"] == ("head:6379", "RAY_ADDRESS")
    environment = given["runtime_env"]
    assert isinstance(environment, dict)
    assert environment["working_dir"] == str(ray_session.CHECKOUT)
    assert {".venv", ".git", "/runs"} <= set(environment["excludes"])


def test_a_run_that_joins_a_ray_it_found_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "nodes", lambda: [])
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray_session, "await_head", lambda *_: None)
    monkeypatch.setattr(ray_session, "canonicalize_bootstrap_address", lambda _: "192.0.2.1:6379")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with ray_session.ray_session(None):
        joined = "cluster      joined the Ray at 192.0.2.1:6379, as RAY_ADDRESS says; --set address=local starts"
        assert capsys.readouterr().out == f"{joined} one of our own\n"
    with ray_session.ray_session("local"):
        assert capsys.readouterr().out == ""


def test_a_ray_found_on_this_machine_that_refuses_is_said_with_who_looked_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def init(*_: object, **__: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at 192.0.2.1:6379")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray_session, "await_head", lambda *_: None)
    monkeypatch.setattr(ray_session, "canonicalize_bootstrap_address", lambda _: "192.0.2.1:6379")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    line = (
        r"^cannot reach the cluster at auto, as RAY_ADDRESS says: Failed .*; --set address=local starts one of our own$"
    )
    with pytest.raises(UserError, match=line), ray_session.ray_session(None):
        pass


def test_an_address_without_a_port_is_refused_with_what_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)  # Whatever ran in this process before.
    line = "^the key address: must be HOST:PORT, auto, local or ray://HOST:PORT, not 'localhost'$"
    with pytest.raises(UserError, match=line), ray_session.ray_session("localhost"):
        pass


def test_every_module_of_ours_travels_to_a_cluster() -> None:
    """A folder named like one that is left out at the top level (data) is not left out inside a package."""
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    root, sent = ray_session.CHECKOUT, set()
    _dir_travel(root, [_get_excludes(root, ray_session._EXCLUDES)], sent.add, include_gitignore=True)
    ours = {
        file for package in ("search", "trainables", "cluster", "analysis") for file in (root / package).rglob("*.py")
    }
    assert ours and ours <= sent


def test_a_local_ray_that_never_comes_up_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to start GCS.\nLast lines")

    monkeypatch.setattr(ray_session.ray, "init", init)
    with pytest.raises(UserError, match=r"cannot reach Ray on this machine: Failed to start GCS\. Last lines"):
        ray_session._start(None, None)


def test_a_temporary_folder_too_long_for_sockets_is_refused_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: object, **__: object) -> None:
        validate_socket_filepath(f"/tmp/{'long' * 30}/ray/session/sockets/raylet")

    monkeypatch.setattr(ray_session.ray, "init", init)
    remedy = "; set RAY_TMPDIR to a shorter folder, such as /tmp"
    with pytest.raises(UserError, match=rf"^cannot reach Ray on this machine: .*AF_UNIX path length .*{remedy}$"):
        ray_session._start("local", None)


@pytest.mark.parametrize("mode", [None, 0o644, 0o600])
def test_the_token_of_a_local_ray_is_its_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".ray" / "auth_token"
    if mode is not None:
        file.parent.mkdir()
        file.write_text("ours")
        file.chmod(mode)
    ray_session._own_token()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text()) == (64 if mode is None else 4)


LISTENING = """
import psutil, ray
from search.tune.session import ray_session
with ray_session("local"):
    ray.get(ray.remote(lambda: None).remote())
    tree = [psutil.Process(), *psutil.Process().children(recursive=True)]
    for process in tree:
        for one in process.net_connections(kind="inet"):
            if one.status == psutil.CONN_LISTEN:
                print(one.laddr.ip, process.name())
"""


def test_a_local_ray_listens_on_this_machine_only() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    command = [sys.executable, "-c", LISTENING]
    done = subprocess.run(command, cwd=ray_session.CHECKOUT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sockets = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert sockets and [socket for socket in sockets if socket[0] not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")] == []
