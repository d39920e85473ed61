"""tests/nightly.sh: it knows every slow test and drill, and says of each what came of it."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.benchmarks.cluster_drills import DRILLS
from tests.checkout import ROOT

SLOW = ".".join(("pytest", "mark", "slow"))  # Not in one word: this file holds no slow test.
NIGHTLY = ROOT / "tests" / "nightly.sh"

# In place of Python: one part passes and skips a test, one fails; this machine makes no hosts.
PYTHON = """#!/bin/bash
case "$*" in
    *--allowed*) echo "no namespaces"; exit 1 ;;
    *test_good.py) echo "SKIPPED [1] tests/test_good.py:7: no photos here"; echo "2 passed, 1 skipped in 0.10s" ;;
    *test_bad.py) echo "1 failed, 1 passed in 0.20s"; exit 1 ;;
esac
"""


def test_every_slow_test_and_every_drill_is_a_part() -> None:
    listed = subprocess.run([NIGHTLY, "--list"], capture_output=True, text=True, check=True).stdout.split()
    slow = {str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("test_*.py") if SLOW in file.read_text()}
    assert set(listed) == slow | {f"drill:{name}" for name in DRILLS}
    assert listed[-1] == "drill:disk", "the disk of a host stays full"


def test_a_part_that_there_is_not_is_refused() -> None:
    done = subprocess.run([NIGHTLY, "drill:flood"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: drill:flood is no part; --list prints them\n")


def test_the_table_says_what_ran_what_failed_and_what_did_not_run(tmp_path: Path) -> None:
    for folder in ("tests", ".ci", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(NIGHTLY, tmp_path / "tests")
    (tmp_path / ".ci" / "packages").touch()
    for name in ("good", "bad"):
        (tmp_path / "tests" / f"test_{name}.py").write_text(f"pytestmark = {SLOW}\n")
    for name, text in {"python": PYTHON, "make": "#!/bin/bash\n"}.items():
        (tmp_path / ".venv" / "bin" / name).write_text(text)
        (tmp_path / ".venv" / "bin" / name).chmod(0o755)
    path = f"{tmp_path / '.venv' / 'bin'}:{os.environ['PATH']}"
    command = [tmp_path / "tests" / "nightly.sh"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 1
    table = done.stdout.partition("=== nightly: 6 parts, 1 failed, ")[2].splitlines()[1:]
    said = [" ".join(line.split()) for line in table]
    assert said[0].startswith("tests/test_bad.py FAILED (1) ") and said[0].endswith(" s 1 failed, 1 passed in 0.20s")
    assert said[1].startswith("tests/test_good.py ok ") and said[1].endswith(" s 2 passed, 1 skipped in 0.10s")
    assert said[2] == "did not run: tests/test_good.py:7: no photos here"
    assert said[3] == "drill:raylet NOT RUN: this machine makes no hosts: no namespaces" and len(said) == 7
    assert (tmp_path / "build" / "nightly" / "tests_test_bad.py.log").is_file()
