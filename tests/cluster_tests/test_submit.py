import subprocess
import sys
from pathlib import Path

import pytest

from cluster.submit import command
from tests.checkout import ROOT


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (["s.yaml", "--set", "trials=3"], ["python", "-m", "search", "run", "s.yaml", "--set", "trials=3"]),
        (["-m", "trainables", "retrain", "best.json"], ["python", "-m", "trainables", "retrain", "best.json"]),
        (
            ["resume", "/mnt/first", "--set", "trials=9"],
            ["python", "-m", "search", "resume", "/mnt/first", "--set", "trials=9"],
        ),
        (["driver.py", "x"], ["python", "driver.py", "x"]),
    ],
)
def test_a_sweep_a_module_or_a_script(given: list[str], becomes: list[str]) -> None:
    assert command(given, "python") == becomes


def run(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the file alone, as `ray submit` leaves it in the home folder."""
    file = home / "submit.py"
    file.write_bytes((ROOT / "cluster" / "submit.py").read_bytes())
    return subprocess.run(
        [sys.executable, str(file), *words],
        capture_output=True,
        text=True,
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", **env},
    )


def test_the_one_file_finds_the_rest_and_hands_on_the_exit_status(tmp_path: Path) -> None:
    (tmp_path / "raretune").symlink_to(ROOT)
    done = run(tmp_path, "-m", "search", "run", "nothing.yaml")
    assert done.returncode == 2
    assert "nothing.yaml" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_is_told_where_ray_is_and_that_there_is_a_token(tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("x")
    script = tmp_path / "show.py"
    script.write_text("import os; print(os.environ['RAY_ADDRESS'], os.environ['RAY_AUTH_MODE'], os.getcwd())")
    done = run(tmp_path, str(script), RARETUNE_HOME=str(ROOT))
    assert done.stdout.split() == ["auto", "token", str(ROOT)], done.stderr


def test_a_head_without_the_checkout_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "sweep.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the checkout is not at ")
    assert done.stderr.count("\n") == 1


def test_nothing_asked_for_shows_how_to_ask(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "ray submit cluster/onprem.yaml cluster/submit.py -- " in done.stdout
