"""A dataset in a bucket, as a user meets it: prepared to S3, searched on and trained on from there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.s3_server import s3_server
from tests.trainables_tests.drawn_photos import write_photos

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"backbone": "mobilenet_v2", "weights": "random", "image_size": 32, "epochs": 1, "unfrozen_layers": 10}

pytestmark = pytest.mark.slow


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=400)


def done(*arguments: str | Path) -> str:
    ended = run(*arguments)
    assert ended.returncode == 0, f"{arguments}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_from_photos_to_a_final_model_with_the_dataset_in_a_bucket(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", {"a_disc": 24, "b_bar": 16})
    sweep = tmp_path / "small.yaml"
    space = {"learning_rate": [1e-3, 1e-2]}
    sweep.write_text(json.dumps({"dataset": "s3://photos/set", "trials": 1, "trial": SMALL, "space": space}))
    experiment = tmp_path / "runs" / "small"
    with s3_server("photos"):
        done("trainables", "prepare", tmp_path / "photos", "s3://photos/set", "--group", "none")
        said = done("search", "run", sweep, "--experiment", experiment, "--set", "resources.measure=false")
        assert "best val_macro_f1" in said
        done("trainables", "retrain", experiment / "best.json", "--threshold", "0", "--patience", "1")
        done("analysis", "report", experiment)
        refused = run("search", "run", sweep, "--experiment", tmp_path / "other", "--set", "dataset=s3://nowhere/set")
    metrics = json.loads((experiment / "final" / "metrics.json").read_text())
    fingerprint = metrics["dataset"]["fingerprint"]
    assert metrics["dataset"]["url"] == "s3://photos/set"
    copies = sorted(folder.name for folder in (tmp_path / "runs" / "store" / "datasets").iterdir() if folder.is_dir())
    assert copies == [fingerprint, f"{fingerprint}.lists"]  # One for trials and the final stage, one for the driver.
    assert "cannot be read from here" not in (experiment / "report" / "index.html").read_text()
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("error: s3://nowhere/set holds no manifest.json, or there is no such bucket")
    assert not (tmp_path / "other").exists()
