"""trainables/inference/predict.py and its command: folders, CSV, and a model file without anything beside it."""

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.checkout import ROOT
from trainables.data.dataset import Dataset
from trainables.errors import UserError
from trainables.inference.keras_model import read_labels
from trainables.inference.predict import find_photos, load_classifier


@pytest.fixture
def album(small_dataset: Dataset, tmp_path: Path) -> Path:
    """Five photos in two folders, one damaged, and what is no photo."""
    photos = sorted(Path(small_dataset.manifest.source).rglob("*.png"))[:4]
    (tmp_path / "album" / "deep").mkdir(parents=True)
    for photo, name in zip(photos, ("b.png", "a.PNG", "deep/c.png", "deep/d.png"), strict=True):
        shutil.copy(photo, tmp_path / "album" / name)
    (tmp_path / "album" / "broken.jpg").write_bytes(b"no picture")
    for other in ("notes.txt", ".hidden.png", "deep/.thumbs.jpg"):
        (tmp_path / "album" / other).write_bytes(b"")
    return tmp_path / "album"


def run(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainables", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def test_a_folder_stands_for_the_photos_in_it(album: Path) -> None:
    names = [str(photo.relative_to(album)) for photo in find_photos([album])]
    assert names == ["a.PNG", "b.png", "broken.jpg", "deep/c.png", "deep/d.png"]
    assert find_photos([album / "b.png", album / "deep"])[0] == album / "b.png"


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no photo"):
        find_photos([tmp_path])


def test_a_folder_becomes_a_csv_with_the_unreadable_named_and_the_speed_printed(
    tiny_model: Path, album: Path, tmp_path: Path
) -> None:
    done = run("predict", tiny_model, album, "--top", "2", "--csv", tmp_path / "families.csv")
    assert done.returncode == 0, done.stderr
    assert "5 photos, 1 of them unreadable" in done.stdout and "photos a second" in done.stdout
    with (tmp_path / "families.csv").open(newline="") as rows:
        table = {Path(row["photo"]).name: row for row in csv.DictReader(rows)}
    assert list(table) == ["a.PNG", "b.png", "broken.jpg", "c.png", "d.png"]
    assert "no picture" in table["broken.jpg"]["problem"] and not table["broken.jpg"]["family_1"]
    guesses = load_classifier(tiny_model).predict([album / "b.png"], top=2)[0]
    row = table["b.png"]
    assert [row["family_1"], row["family_2"]] == [guess.family for guess in guesses]
    assert float(row["probability_1"]) == pytest.approx(guesses[0].probability, abs=1e-5)


def test_a_model_at_a_url_is_copied_and_predicts_explains_and_exports_there(
    tiny_model: Path, album: Path, tmp_path: Path
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


def test_model_keras_is_enough_alone(tiny_model: Path, album: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_model / "model.keras", tmp_path / "mine.keras")
    alone, beside = (
        load_classifier(model).predict([album / "b.png"], 2) for model in (tmp_path / "mine.keras", tiny_model)
    )
    assert alone == beside


def test_the_labels_add_no_entry_to_the_archive(tiny_model: Path) -> None:
    """Keras unpacks the whole archive to the disk at every loading when there are more than its own three."""
    with zipfile.ZipFile(tiny_model / "model.keras") as archive:
        assert len(archive.namelist()) == 3


def test_a_model_from_before_labels_were_inside_takes_those_beside_it(tiny_model: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
    with pytest.raises(UserError, match=r"labels\.json does not exist"):
        read_labels(tmp_path / "model.keras")
    shutil.copy(tiny_model / "labels.json", tmp_path)
    assert read_labels(tmp_path / "model.keras") == read_labels(tiny_model / "model.keras")


@pytest.mark.parametrize("content", [b"", b"PK no archive", b"{}"])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(UserError, match="no model that `retrain` wrote"):
        read_labels(tmp_path / "model.keras")
