"""analysis/dashboard.py with servers that start in no time; the real ones run in tests/end_to_end_tests."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from analysis import dashboard
from analysis.__main__ import main, parser
from search.config.file import write_sweep
from search.records import study_storage
from search.study.storage import opened_storage
from search.study.study import open_study
from tests.search_tests.example import sweep
from tests.search_tests.postgres import PASSWORD, USER, server
from trainables.errors import UserError

ANSWERS = """
import socket, subprocess, sys, time
port = int(sys.argv[sys.argv.index("--port") + 1])
server = socket.create_server((sys.argv[sys.argv.index("--host") + 1], port))
child = subprocess.Popen(["sleep", "100"])
print(child.pid, file=open(sys.argv[1], "w"))
time.sleep(100)
"""


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    return False


def test_nobody_else_can_reach_the_dashboards_unless_asked_for() -> None:
    assert parser().parse_args(["dashboard", "runs/demo"]).host == "127.0.0.1"


def test_a_server_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with dashboard._serve("x", ANSWERS, "127.0.0.1", 0, [tmp_path / "child"]) as server:
        dashboard.wait_until_it_answers(server, "127.0.0.1")
        end = time.monotonic() + 30
        while not (tmp_path / "child").is_file() or not (tmp_path / "child").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        child = int((tmp_path / "child").read_text())
        assert alive(child) and alive(server.process.pid)
    assert not alive(server.process.pid)
    end = time.monotonic() + 30
    while alive(child):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_server_that_ends_by_itself_is_an_error_with_its_last_words() -> None:
    code = "import sys; sys.exit('first\\nthe database is locked')"
    with (
        dashboard._serve("optuna-dashboard", code, "127.0.0.1", 9, []) as server,
        pytest.raises(UserError, match="optuna-dashboard ended by itself with status 1: the database is locked"),
    ):
        server.process.wait(60)
        dashboard.wait_until_it_answers(server, "127.0.0.1")


def test_a_port_that_is_taken_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with dashboard._serve("x", "import time; time.sleep(100)", "127.0.0.1", taken, []) as server:
            assert server.port not in (taken, 0)


@pytest.mark.parametrize("host", ["203.0.113.1", "no such host"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(UserError, match="--host: nothing can listen on"), dashboard._serve("x", "", host, 6006, []):
        pass


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no experiment"):
        dashboard.show_dashboards(tmp_path, "127.0.0.1", print)


@pytest.fixture(scope="module")
def on_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An experiment whose study is on a PostgreSQL server that asks for a password."""
    folder = tmp_path_factory.mktemp("on_server")
    with server() as address:
        config = sweep(folder, name="shared", storage=f"postgresql://{USER}:{PASSWORD}@{address}/postgres")
        Path(config.experiment).mkdir()
        write_sweep(config, Path(config.experiment))
        with opened_storage(folder, config.storage) as storage:
            open_study(config, "f", storage, join=False)
        yield Path(config.experiment)


def test_a_password_that_is_nowhere_is_one_line_that_says_where_to_put_it(
    on_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["dashboard", str(on_server)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and PASSWORD not in said.err
    assert said.err.startswith("error: storage: postgresql://raretune@127.0.0.1") and "no password supplied" in said.err
    assert said.err.endswith("set PGPASSWORD, or add it to ~/.pgpass\n")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert study_storage(on_server).startswith("postgresql+psycopg://raretune@127.0.0.1")


@pytest.mark.slow
def test_the_dashboard_reads_the_server_with_the_password_of_pgpass(
    on_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".pgpass").write_text(f"*:*:*:{USER}:{PASSWORD}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with dashboard._optuna_dashboard(on_server, "127.0.0.1") as served:
        dashboard.wait_until_it_answers(served, "127.0.0.1")
        with urlopen(f"http://127.0.0.1:{served.port}/api/studies", timeout=60) as answer:
            assert [study["study_name"] for study in json.load(answer)["study_summaries"]] == ["shared"]


def test_the_address_of_the_study_stands_in_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a password."""
    monkeypatch.setattr(dashboard, "_OPTUNA_DASHBOARD", "import time; time.sleep(100)")
    monkeypatch.setattr(dashboard, "study_storage", lambda folder: "postgresql://me:secret@host/studies")
    with dashboard._optuna_dashboard(tmp_path, "127.0.0.1") as server:
        assert "secret" not in " ".join(map(str, server.process.args))  # type: ignore[arg-type]
