import sys
import time
from pathlib import Path

import psutil
import pytest

from cluster import launcher
from cluster.__main__ import main
from cluster.launcher import ClusterError, make_token, use_token
from tests.checkout import ROOT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_only_its_owner_can_read_a_new_token(home: Path) -> None:
    file, new = make_token()
    assert (file, new) == (home / ".ray" / "auth_token", True)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert len(file.read_text()) == 64


def test_a_token_that_is_there_is_kept_and_made_private(home: Path) -> None:
    file, _ = make_token()
    before = file.read_text()
    file.chmod(0o644)
    assert make_token() == (file, False)
    assert (file.read_text(), file.stat().st_mode & 0o777) == (before, 0o600)


def test_the_command_does_not_show_the_token(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token"]) == 0
    printed = capsys.readouterr()
    assert (home / ".ray" / "auth_token").read_text() not in printed.out + printed.err


def test_an_empty_token_is_refused_in_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").touch()
    assert main(["token"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_mode_follows_from_the_token_unless_it_was_chosen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    use_token()
    assert "RAY_AUTH_MODE" not in os.environ
    make_token()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    use_token()
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    monkeypatch.delenv("RAY_AUTH_MODE")
    use_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    monkeypatch.delenv("RAY_AUTH_MODE")


CLUSTER = ROOT / "cluster"

# As `ray dashboard`: a process that holds the connection, and one above it that waits.
_FORWARD = """
import socket, subprocess, sys
code = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
subprocess.run([sys.executable, "-c", code, sys.argv[-1]])
"""


def pretend(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have Python code stand for the `ray` command."""
    monkeypatch.setattr(launcher, "_ray", lambda verb, file: [sys.executable, "-c", code, verb, str(file)])


def test_the_forward_ends_with_its_use_and_leaves_no_ssh_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, _FORWARD)
    others = set(psutil.Process().children(recursive=True))  # Such as the browser of other tests.
    with launcher.dashboard(CLUSTER / "onprem.yaml") as address:
        assert address.startswith("http://127.0.0.1:")
        children = set(psutil.Process().children(recursive=True)) - others
        assert len(children) >= 2
    deadline = time.monotonic() + 5
    while any(child.is_running() and child.status() != "zombie" for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_head_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "import sys; sys.exit('Error: Head node of cluster (raretune) not found!')")
    with (
        pytest.raises(ClusterError, match="cannot be reached: Error: Head node of cluster"),
        launcher.dashboard(CLUSTER / "onprem.yaml"),
    ):
        pass


def test_down_ends_ray_on_every_worker_before_the_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pretend(monkeypatch, f"import sys; open({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))")
    assert launcher.down(CLUSTER / "onprem.yaml") == 0
    first, last = log.read_text().splitlines()
    assert first.startswith("exec ")
    assert first.index("ray stop || echo FAILED on the head") < first.index("ubuntu@192.0.2.11")
    assert first.index("ubuntu@192.0.2.11") < first.index("ubuntu@192.0.2.12")
    assert last == f"down {CLUSTER / 'onprem.yaml'} -y"


def test_down_names_the_worker_that_it_could_not_reach(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, "print('FAILED on 192.0.2.12')")
    launcher.down(CLUSTER / "onprem.yaml")
    assert capsys.readouterr().err.strip() == "Ray may run on: FAILED on 192.0.2.12"


def test_clouds_end_their_own_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pretend(monkeypatch, f"import sys; open({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))")
    launcher.down(CLUSTER / "aws.yaml")
    assert log.read_text() == f"down {CLUSTER / 'aws.yaml'} -y\n"
