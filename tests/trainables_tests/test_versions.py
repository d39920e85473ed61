"""trainables/versions.py: versions and commit."""

import re
import subprocess
from pathlib import Path

import pytest

from trainables import versions as provenance


def test_the_versions_are_those_installed() -> None:
    import optuna

    versions = provenance.versions()
    assert versions["optuna"] == optuna.__version__
    assert {"python", "ray", "tensorflow", "keras", "numpy"} <= versions.keys()


def test_the_commit_is_the_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    (tmp_path / "trainables").mkdir()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "trainables" / "provenance.py"))
    assert provenance.git_commit() is None
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-qm", "m"], check=True)
    commit = provenance.git_commit()
    assert commit is not None and re.fullmatch("[0-9a-f]{40}", commit)
    (tmp_path / "a").write_text("2")
    assert provenance.git_commit() == commit + "+"
