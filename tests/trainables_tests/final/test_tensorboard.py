"""trainables/final/tensorboard.py: what TensorBoard itself reads of the final stage."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.search_tests.event_files import read_events
from trainables.final.mistakes import COLUMNS
from trainables.final.tensorboard import mistakes_sheet, write_final_board


def test_the_final_stage_stands_beside_the_sweeps_runs(final: Path) -> None:
    runs = final.parent / "tensorboard"
    assert {folder.name for folder in runs.iterdir()} == {"final", "final_before", "final_after"}
    with (final / "history.csv").open() as rows:
        history = [row for row in csv.DictReader(rows) if row["stage"] == "after"]
    events = read_events(runs / "final_after")
    points = events.Scalars("val_macro_f1")
    assert [point.step for point in points] == [int(row["epoch"]) for row in history]
    assert [point.value for point in points] == pytest.approx([float(row["val_macro_f1"]) for row in history])
    images = read_events(runs / "final").Tags()["images"]
    assert {"1_confusion_matrix_test", "3_augmentation", "4_training_photos"} <= set(images)


def test_an_earlier_final_stage_is_replaced(final: Path, tmp_path: Path) -> None:
    shutil.copytree(final.parent / "tensorboard", tmp_path, dirs_exist_ok=True)
    write_final_board(final, tmp_path / "final")
    assert all(len(list(run.iterdir())) == 1 for run in tmp_path.iterdir())


def test_the_sheet_shows_every_mistake_with_its_overlay(tmp_path: Path) -> None:
    from PIL import Image

    rows = []
    for number in range(4):
        names = [f"m{number}.jpg", f"m{number}_cam.jpg"]
        for name, colour in zip(names, ("red", "blue"), strict=True):
            Image.new("RGB", (200, 100), colour).save(tmp_path / name)
        rows.append([*names, f"id{number}", f"f/{number}.jpg", "chordata_felidae", "chordata_canidae", "0.9", "0.05"])
    with (tmp_path / "mistakes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    sheet = mistakes_sheet(tmp_path)
    assert sheet is not None
    reddish = (sheet[..., 0] > 200) & (sheet[..., 2] < 60)
    bluish = (sheet[..., 2] > 200) & (sheet[..., 0] < 60)
    assert np.isclose(reddish.sum(), 4 * 200 * 100, rtol=0.02) and np.isclose(bluish.sum(), 4 * 200 * 100, rtol=0.02)


def test_without_mistakes_there_is_no_sheet(tmp_path: Path) -> None:
    (tmp_path / "mistakes.csv").write_text(",".join(COLUMNS) + "\n")
    assert mistakes_sheet(tmp_path) is None
