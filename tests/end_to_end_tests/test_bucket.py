"""All in a bucket, as a user meets it: prepared to S3, searched on and trained on from there, its records there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.s3_server import s3_server
from tests.trainables_tests.drawn_photos import write_photos

SMALL = {"backbone": "mobilenet_v2", "weights": "random", "image_size": 32, "epochs": 1, "unfrozen_layers": 10}

pytestmark = pytest.mark.slow


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=400)


def done(folder: Path, *arguments: str | Path) -> str:
    ended = run(folder, *arguments)
    assert ended.returncode == 0, f"{arguments}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def test_from_photos_to_a_final_model_with_dataset_and_experiment_in_a_bucket(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", {"a_disc": 24, "b_bar": 16})
    sweep = tmp_path / "small.yaml"
    space = {"learning_rate": [1e-3, 1e-2]}
    sweep.write_text(json.dumps({"dataset": "s3://photos/set", "trials": 1, "trial": SMALL, "space": space}))
    experiment = "s3://photos/runs/small"
    with s3_server("photos"):
        done(tmp_path, "trainables", "prepare", tmp_path / "photos", "s3://photos/set", "--group", "none")
        command = ("search", "run", sweep, "--set", "resources.measure=false", "--experiment")
        said = done(tmp_path, *command, experiment)
        assert "best val_macro_f1" in said and f"retrain {experiment}/best.json" in said
        assert said.count("\nprobe        ") == 2, "it begins, and it ends"
        trained = done(
            tmp_path, "trainables", "retrain", f"{experiment}/best.json", "--threshold", "0", "--patience", "1"
        )
        assert trained.splitlines()[-1] == f"and in {experiment}/final"
        assert "the probe, " in trained and "the probe is found again" not in trained, "its solution came along"
        reported = done(tmp_path, "analysis", "report", experiment)
        twice = run(tmp_path, "trainables", "retrain", f"{experiment}/best.json")
        again = run(tmp_path, *command, experiment)
        refused = run(tmp_path, *command, tmp_path / "other", "--set", "dataset=s3://nowhere/set")
    page = Path(reported.splitlines()[-1].removeprefix("report: "))
    metrics = json.loads((page.parent.parent / "final" / "metrics.json").read_text())
    fingerprint = metrics["dataset"]["fingerprint"]
    assert metrics["dataset"]["url"] == "s3://photos/set"
    copies = sorted(folder.name for folder in (tmp_path / "runs" / "store" / "datasets").iterdir() if folder.is_dir())
    assert copies == [fingerprint, f"{fingerprint}.lists"]  # One for trials and the final stage, one for the driver.
    assert "cannot be read from here" not in page.read_text()
    assert "The probe, " in page.read_text() and set(metrics["stages"]["probe"]) == {"train", "validation", "test"}
    for ended, line in (
        (twice, f"error: {experiment}/final is not empty; delete it first, or name a folder here by --out"),
        (again, f"error: experiment: {experiment} holds another run"),
        (refused, "error: s3://nowhere/set holds no manifest.json, or there is no such bucket"),
    ):
        assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and ended.stderr.startswith(line)
    assert not (tmp_path / "other").exists()
