"""`make demo`, in this environment instead of one of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT

pytestmark = pytest.mark.slow


def test_make_demo_leaves_a_dataset_a_model_and_a_report(tmp_path: Path) -> None:
    settled = (f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.runtime")
    command = ["make", "demo", f"DEMO={tmp_path}/demo", *settled]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    experiment = tmp_path / "demo" / "experiment"
    assert 0 < json.loads((experiment / "best.json").read_text())["score"] <= 1
    assert (experiment / "final" / "model.keras").stat().st_size > 1e6
    assert (experiment / "report" / "index.html").is_file()
