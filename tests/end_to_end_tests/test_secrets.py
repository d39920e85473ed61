"""Secrets in the environment: none of them is in anything that a sweep leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT

PLANTED = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTED0001",
    "AWS_SECRET_ACCESS_KEY": "planted/secret/0002",
    "AWS_SESSION_TOKEN": "planted-session-0003",
    "GOOGLE_APPLICATION_CREDENTIALS_JSON": "planted-google-0004",
    "AZURE_STORAGE_CONNECTION_STRING": "planted-azure-0005",
    "PGPASSWORD": "planted-postgres-0006",
    "HF_TOKEN": "planted-hub-0007",
}


def test_no_secret_of_the_environment_is_in_what_a_sweep_leaves(tmp_path: Path) -> None:
    sessions = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray"
    before = set(sessions.glob("session_*"))
    command = [sys.executable, "-m", "tests.search_tests.killed_driver", str(tmp_path), "--trials", "2"]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | PLANTED
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sessions_left = set(sessions.glob("session_2*")) - before
    assert sessions_left, "Ray keeps its logs"
    found = []
    for folder in (tmp_path, *sessions_left):
        for file in (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()):
            content = file.read_bytes()
            found += [f"{file}: {name}" for name, secret in PLANTED.items() if secret.encode() in content]
    assert found == []
    assert not any(secret in done.stdout + done.stderr for secret in PLANTED.values())
