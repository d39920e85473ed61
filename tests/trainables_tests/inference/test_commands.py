"""trainables/inference/commands.py: `predict`, `explain` and `export` as they are typed."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.checkout import ROOT
from tests.trainables_tests.conftest import Command
from trainables.data.dataset import Dataset
from trainables.inference.formats import FORMATS
from trainables.inference.keras_model import load_classifier


def test_a_folder_becomes_a_csv_with_the_unreadable_named_and_the_speed_printed(
    tiny_model: Path, album: Path, tmp_path: Path, run: Command
) -> None:
    done = run("predict", tiny_model, album, "--top", "2", "--csv", tmp_path / "families.csv")
    assert done.returncode == 0, done.stderr
    assert "5 photos, 1 of them unreadable" in done.stdout and "photos a second" in done.stdout
    assert "3 files are no photos and passed over: 2 by its name (.hidden.png, deep/.thumbs.jpg); 1 by" in done.stderr
    with (tmp_path / "families.csv").open(newline="") as rows:
        table = {Path(row["photo"]).name: row for row in csv.DictReader(rows)}
    assert list(table) == ["a.PNG", "b.png", "broken.jpg", "c.png", "d.png"]
    assert "no picture" in table["broken.jpg"]["problem"] and not table["broken.jpg"]["family_1"]
    (answer,) = load_classifier(tiny_model).answers([album / "b.png"], top=2)
    row = table["b.png"]
    assert [row["family_1"], row["family_2"]] == [guess.family for guess in answer.guesses]
    assert float(row["probability_1"]) == pytest.approx(answer.guesses[0].probability, abs=1e-5)


def test_predict_reads_common_formats_and_prints_families_and_nothing_else(
    final: Path, small_dataset: Dataset, tmp_path: Path
) -> None:
    """In a process of its own, where TensorFlow would talk while it starts."""
    photo = Image.open(next(Path(small_dataset.manifest.source).rglob("*.png")))
    files = []
    for suffix in ("jpg", "webp", "tiff", "gif", "bmp"):
        files.append(tmp_path / f"photo.{suffix}")
        photo.save(files[-1])
    command = [sys.executable, "-m", "trainables", "predict", str(final), *map(str, files), "--top", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("%") == 10
    assert all(str(file) in done.stdout for file in files)
    assert done.stderr == ""


def test_a_model_at_a_url_is_copied_and_predicts_explains_and_exports_there(
    tiny_model: Path, album: Path, tmp_path: Path, run: Command
) -> None:
    shutil.copytree(tiny_model, tmp_path / "bucket" / "final")
    url, here = f"{tmp_path.as_uri()}/bucket/final", tmp_path / "here"
    here.mkdir()
    reported = [
        run("predict", url, album / "b.png", cwd=here),
        run("explain", f"{url}/model.keras", album / "b.png", "--out", "cam", cwd=here),
        run("export", url, "--format", "saved_model", cwd=here),
    ]
    assert [(done.returncode, done.stderr) for done in reported] == [(0, "")] * 3
    (copy,) = (here / "runs").iterdir()
    assert all(done.stdout.startswith(f"model        {copy} (a copy of {url})\n") for done in reported)
    assert reported[0].stdout.splitlines()[1:] == run("predict", tiny_model, album / "b.png").stdout.splitlines()
    assert (here / "cam" / "b_cam.jpg").is_file() and (copy / "exported" / "saved_model").is_dir()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{model}", "no.jpg"], "no.jpg cannot be read: No such file"),
        (["nowhere", "a.jpg"], "nowhere does not exist"),
        (["{model}", "{model}/labels.json"], "no picture"),
        (["{model}", "a.jpg", "--top", "0"], "--top"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tiny_model: Path, run: Command, arguments: list[str], says: str) -> None:
    done = run("predict", *[argument.format(model=tiny_model) for argument in arguments])
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_export_offers_every_format_and_names_the_requirements(run: Command) -> None:
    shown = "".join(run("export", "--help").stdout.split())
    assert f"{{{','.join(FORMATS)}}}" in shown
    assert "(default:saved_modeltflite;onnxneedsrequirements-onnx.txt)" in shown
    for name, kind in FORMATS.items():
        assert f"{kind.reader}({name})".replace(" ", "") in shown
