from pathlib import Path

import pytest

from cluster.__main__ import main
from cluster.auth import make_token, use_token


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
