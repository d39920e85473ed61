"""trainables/inference/evaluation.py: a model on labelled photos of one's own."""

import csv
import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.conftest import Command
from trainables.files.output import write_json

RED, GREEN = (200, 30, 30), (30, 200, 30)


def photos(folder: Path, **families: list[tuple[int, int, int]]) -> Path:
    """A folder for each family with a plain photo of each colour; the model knows red and green by sight."""
    for family, colours in families.items():
        (folder / family).mkdir(parents=True)
        for number, colour in enumerate(colours):
            Image.fromarray(np.full((30, 40, 3), colour, np.uint8)).save(folder / family / f"{number}.png")
    return folder


@pytest.fixture
def evaluated(tiny_model: Path, tmp_path: Path, run: Command) -> tuple[CompletedProcess[str], Path]:
    root = photos(tmp_path / "own", red=[RED] * 6, green=[GREEN] * 4 + [RED] * 2, blue=[GREEN] * 3)
    (root / "red" / "broken.jpg").write_bytes(b"no picture")
    return run("evaluate", tiny_model, root, "--out", tmp_path / "out"), tmp_path / "out"


def test_it_prints_both_scores_with_intervals_and_the_weakest_family_first(
    evaluated: tuple[CompletedProcess[str], Path],
) -> None:
    done, _ = evaluated
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["green", "6", "4"], ["red", "6", "6"]]
    assert "66.7% (30.0% to 90.3%)" in lines[1] and "100.0% (61.0% to 100.0%)" in lines[2]  # Wilson's.
    assert lines[3] == "accuracy 83.3% (95% interval 55.2% to 95.3%) on 12 photos"
    assert lines[4].startswith("macro F1 82.9% (95% interval ")


def test_what_was_left_out_and_what_says_little_is_said(evaluated: tuple[CompletedProcess[str], Path]) -> None:
    warnings = [line for line in evaluated[0].stdout.splitlines() if line.startswith("warning: ")]
    assert "the model does not know their family: blue (3)" in warnings[0]
    assert "unreadable: 1 photos, such as red/broken.jpg" in warnings[1]
    assert "12 photos say little" in warnings[2]


def test_the_tables_say_the_same(evaluated: tuple[CompletedProcess[str], Path]) -> None:
    _, out = evaluated
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and sum(row["family"] == row["predicted"] for row in rows) == 10
    with (out / "families.csv").open() as file:
        assert [(row["family"], row["right"]) for row in csv.DictReader(file)] == [("green", "4"), ("red", "6")]
    told = json.loads((out / "evaluation.json").read_text())
    assert told["accuracy"]["value"] == pytest.approx(10 / 12) and told["unknown_families"] == {"blue": 3}


def test_photos_that_the_model_was_trained_on_are_named(tiny_model: Path, tmp_path: Path, run: Command) -> None:
    root = photos(tmp_path / "photos", red=[(200, 30, shade) for shade in range(6)], green=[GREEN, (30, 201, 30)])
    assert run("prepare", root, tmp_path / "dataset", "--fractions", 0.6, 0.4, 0, "--group", "none").returncode == 0
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    write_json({"dataset": {"folder": str(tmp_path / "dataset")}, "refit": None}, model / "metrics.json")
    said = run("evaluate", model, root).stdout
    with (tmp_path / "dataset" / "photos.csv").open() as file:
        trained = sum(row["split"] == "train" for row in csv.DictReader(file))
    assert f"warning: {trained} of the photos are photos that the model was trained on" in said


def test_a_folder_of_other_families_is_one_line(tiny_model: Path, tmp_path: Path, run: Command) -> None:
    done = run("evaluate", tiny_model, photos(tmp_path / "own", cat=[RED], dog=[GREEN]))
    assert done.returncode == 2
    assert "its families are cat, dog, the model's green, red" in done.stderr


def test_labels_in_another_spelling_are_the_models_and_what_is_passed_over_is_named(
    tiny_model: Path, tmp_path: Path, run: Command
) -> None:
    root = photos(tmp_path / "own", **{"Red": [RED], "GREEN ": [GREEN]})
    (root / "Red" / "clip.mp4").write_bytes(b"a film")
    done = run("evaluate", tiny_model, root)
    assert done.stdout.splitlines()[3].startswith("accuracy 100.0%"), done.stdout + done.stderr
    assert "passed over: 1 by its name and its first bytes (Red/clip.mp4)" in done.stdout


def test_the_animals_of_a_detectors_file_are_evaluated_one_by_one(
    tiny_model: Path, tmp_path: Path, run: Command
) -> None:
    half = np.full((40, 80, 3), RED, np.uint8)
    half[:, 40:] = GREEN
    for family in ("red", "green"):
        (tmp_path / "own" / family).mkdir(parents=True)
    Image.fromarray(half).save(tmp_path / "own" / "green" / "half.png")
    Image.fromarray(half).save(tmp_path / "own" / "green" / "nothing.png")
    Image.fromarray(half).save(tmp_path / "own" / "red" / "half.png")
    right, left = [0.5, 0.0, 0.5, 1.0], [0.0, 0.0, 0.5, 1.0]
    boxes: dict[str, list[list[float]]] = {"green/half.png": [right], "green/nothing.png": [], "red/half.png": [left]}
    images = [
        {"file": name, "detections": [{"category": "1", "conf": 0.9, "bbox": box} for box in own]}
        for name, own in boxes.items()
    ]
    md = {"images": images, "detection_categories": {"1": "animal"}, "info": {"format_version": "1.4"}}
    write_json(md, tmp_path / "md.json")
    crops = ("--crop", tmp_path / "md.json", "--crop-padding", 0)
    done = run("evaluate", tiny_model, tmp_path / "own", *crops, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "accuracy 100.0%" in done.stdout and "on 2 photos" in done.stdout
    assert "nothing.png" in done.stdout  # Passed over, and named.
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["source"], row["box"]) for row in rows] == [
        ("green/half.png", "0.5 0.0 0.5 1.0"),
        ("red/half.png", "0.0 0.0 0.5 1.0"),
    ]
    refused = run("evaluate", tiny_model, tmp_path / "own", "--crop", tmp_path / "md.json", "--crop-padding", 2)
    assert refused.returncode == 2 and "--crop-padding: must be between 0 and 1" in refused.stderr
