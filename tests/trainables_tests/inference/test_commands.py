"""trainables/inference/commands.py: `predict`, `explain` and `export` as they are typed."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.checkout import ROOT
from tests.trainables_tests.conftest import Command
from tests.trainables_tests.training_example import SMALL, red_or_green
from trainables.data.dataset import Dataset
from trainables.guarantee import Guarantee
from trainables.inference.formats import FORMATS
from trainables.inference.keras_model import load_classifier, save_model
from trainables.taxonomy import Taxonomy


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


@pytest.fixture
def promising(tmp_path: Path) -> Path:
    """The red or green model with a guarantee and with a taxonomy, to be asked for sets and ranks."""
    folder = tmp_path / "promising"
    folder.mkdir()
    config = SMALL.model_copy(update={"image_size": 24})
    scores = tuple(np.linspace(-0.05, 0.05, 99))  # Log of share over probability: both families of a yellow photo.
    guarantee = Guarantee(
        temperature=0.1, shares=(0.5, 0.5), scores=scores, power=1, evidence_below=0.27, probability_below=0.5
    )
    tree = Taxonomy(ranks=("light", "colour"), names=(("visible", "red"), ("visible", "green")))
    save_model(red_or_green(24), ("red", "green"), config, folder, guarantee, tree)
    for name, colour in (("red", (255, 0, 0)), ("yellow", (240, 240, 0)), ("white", (255, 255, 255))):
        Image.new("RGB", (30, 20), colour).save(tmp_path / f"{name}.png")
    return folder


def test_predict_gives_sets_unknown_photos_and_the_deepest_rank(promising: Path, tmp_path: Path, run: Command) -> None:
    photos = [tmp_path / f"{name}.png" for name in ("red", "yellow", "white")]
    done = run("predict", promising, *photos, "--coverage", "0.9", "--sure", "0.9", "--csv", tmp_path / "told.csv")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "told.csv").open(newline="") as rows:
        red, yellow, white = csv.DictReader(rows)
    assert (red["set_size"], red["set"], red["unknown"]) == ("1", "red", "false")
    assert (red["rank"], red["taxon"]) == ("colour", "red")
    # Logits 1 and 0, divided by a temperature of 0.1.
    assert float(red["probability_1"]) == pytest.approx(1 / (1 + np.exp(-10)), abs=1e-5)
    assert (yellow["set_size"], yellow["set"], yellow["rank"], yellow["taxon"]) == (
        "2",
        "red; green",
        "light",
        "visible",
    )
    # Log 2 over 1 + the length of all three colours: more is seen in white, and no more of it is red or green.
    assert white["unknown"] == "true" and yellow["unknown"] == "false"
    printed = run("predict", promising, *photos, "--coverage", "0.9", "--sure", "0.9").stdout
    assert "unknown: unlike the photos that the model was trained on" in printed.partition("white.png")[2]
    assert "100.0%  colour red" in printed and "light visible" in printed


def test_what_a_model_was_not_given_is_refused_in_one_line(tiny_model: Path, album: Path, run: Command) -> None:
    for option, says in (("--coverage", "has no guarantee"), ("--sure", "knows no ranks above its labels")):
        done = run("predict", tiny_model, album / "b.png", option, "0.9")
        assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1
        done = run("predict", tiny_model, album / "b.png", option, "90")
        assert done.returncode == 2 and f"{option}: must lie between 0 and 1, such as 0.9, not 90" in done.stderr


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
