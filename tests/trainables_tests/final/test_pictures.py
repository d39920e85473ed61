import csv
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.search_tests.event_files import read_events
from tests.trainables_tests.training_example import FAMILIES, SMALL, make_worker, red_or_green
from trainables.data.dataset import Dataset
from trainables.final.pictures import (
    COLUMNS,
    EXAMPLE_SIDE,
    GAP,
    LABEL_HEIGHT,
    MISTAKE_SIDE,
    MOST,
    NAMED,
    PAIRS,
    PHOTOS_PER_PAIR,
    PHOTOS_TO_COMPARE,
    SIDE,
    augmentation_preview,
    choose_examples,
    confusion_shares,
    draw_confusion,
    mistakes_sheet,
    most_confident,
    sample_grid,
    write_examples,
    write_final_board,
    write_mistakes,
    write_pictures,
)


def test_each_family_has_a_row_and_the_most_numerous_stands_first(small_dataset: Dataset, tmp_path: Path) -> None:
    photos = make_worker(small_dataset, tmp_path).photos("train", 32)
    grid = sample_grid(photos, small_dataset.class_names)
    assert grid.height == len(FAMILIES) * (SIDE + LABEL_HEIGHT + GAP) + GAP
    first_family = small_dataset.class_names.index("bright_disc")
    first = photos.read(np.flatnonzero(photos.labels == first_family)[:1])[0]
    shown = np.asarray(grid.crop((GAP, GAP + LABEL_HEIGHT, GAP + SIDE, GAP + LABEL_HEIGHT + SIDE)))
    expected = np.asarray(Image.fromarray(first).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(shown, expected)


def test_the_preview_shows_the_photo_and_pictures_that_differ_from_it(small_dataset: Dataset, tmp_path: Path) -> None:
    photos = make_worker(small_dataset, tmp_path).photos("train", 32)
    preview = np.asarray(augmentation_preview(photos, photos.photo_ids, SMALL))
    top = GAP + LABEL_HEIGHT
    tiles = [preview[top : top + SIDE, GAP + n * (SIDE + GAP) : GAP + n * (SIDE + GAP) + SIDE] for n in range(3)]
    assert not np.array_equal(tiles[0], tiles[1])
    assert not np.array_equal(tiles[1], tiles[2])


def test_both_pictures_are_written(small_dataset: Dataset, tmp_path: Path) -> None:
    photos = make_worker(small_dataset, tmp_path).photos("train", 32)
    write_pictures(photos, small_dataset, SMALL, tmp_path / "pictures")
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {"samples.jpg", "augmentation.jpg"}


def test_a_row_says_what_a_familys_photos_were_taken_for() -> None:
    shares = confusion_shares(np.array([0, 0, 0, 0, 2]), np.array([0, 0, 1, 2, 1]), 3)
    np.testing.assert_allclose(shares, [[0.5, 0.25, 0.25], [np.nan] * 3, [0, 1, 0]])


@pytest.mark.parametrize("classes", [2, 30, NAMED + 40])
def test_the_picture_holds_any_number_of_families(tmp_path: Path, classes: int) -> None:
    labels = np.arange(classes - 1).repeat(3)  # The last family has no photo.
    predicted = np.where(np.arange(len(labels)) % 3, labels, (labels + 1) % classes)
    draw_confusion(labels, predicted, [f"family_{number}" for number in range(classes)], tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) >= 400 and max(picture.size) <= 2000
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize("name", [r"a$\frac$b", "$x$", "a|<b>b</b>", "été Ω рысь", "\U000f0000"])
def test_any_name_is_drawn_as_literal_text(name: str, tmp_path: Path) -> None:
    labels = np.array([0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib warns of each letter that its font lacks.
        draw_confusion(labels, labels, [name, "plain"], tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 0


def test_only_wrong_answers_count_and_the_surest_comes_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9]], np.float32)
    labels = np.array([0, 1, 0, 0])
    assert most_confident(labels, probabilities) == [(3, 1), (2, 1), (1, 0)]
    assert most_confident(labels, probabilities, most=1) == [(3, 1)]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "mistakes.csv").open(newline="") as rows:
        return list(csv.DictReader(rows))


@pytest.mark.parametrize("right", [0, 3])
def test_each_mistake_has_its_photo_and_its_overlay(small_dataset: Dataset, tmp_path: Path, right: int) -> None:
    photos = make_worker(small_dataset, tmp_path / "store").photos("test", 24)
    probabilities = np.full((len(photos), 4), 0.1, np.float32)
    given = (photos.labels + 1) % 2  # The model below knows two families.
    given[:right] = photos.labels[:right]
    probabilities[np.arange(len(photos)), given] = np.linspace(0.4, 0.7, len(photos))
    write_mistakes(red_or_green(), photos, probabilities, small_dataset, tmp_path)
    rows = table(tmp_path)
    assert len(rows) == min(MOST, len(photos) - right)
    chances = [float(row["probability"]) for row in rows]
    assert chances == sorted(chances, reverse=True)
    by_id = {photo.photo_id: photo for photo in small_dataset.photos("test")}
    for row in rows:
        assert row["family"] == by_id[row["photo_id"]].family != row["predicted"]
        with Image.open(Path(small_dataset.manifest.source) / row["source"]) as source:
            for name in (row["photo"], row["cam"]):
                shown = Image.open(tmp_path / name)
                assert shown.size == source.size and max(shown.size) <= MISTAKE_SIDE
    assert len(list(tmp_path.glob("*.jpg"))) == 2 * len(rows)


def test_a_model_without_mistakes_leaves_an_empty_list(small_dataset: Dataset, tmp_path: Path) -> None:
    photos = make_worker(small_dataset, tmp_path / "store").photos("test", 24)
    probabilities = np.eye(4, dtype=np.float32)[photos.labels]
    write_mistakes(red_or_green(), photos, probabilities, small_dataset, tmp_path)
    assert table(tmp_path) == []
    assert (tmp_path / "mistakes.csv").read_text().startswith("photo,cam,photo_id")


def guessed(guesses: list[int], sure: list[float], classes: int) -> np.ndarray:
    rows = np.repeat((1 - np.array(sure, np.float32))[:, None] / (classes - 1), classes, axis=1)
    rows[np.arange(len(guesses)), guesses] = sure
    return rows


def test_of_a_confusion_the_surest_mistakes_are_shown_and_right_answers_never() -> None:
    labels, guesses, sure = [0, 0, 0, 0, 0, 1], [1, 1, 0, 1, 1, 1], [0.6, 0.9, 0.99, 0.7, 0.8, 0.99]
    chosen = choose_examples(np.array(labels), np.array([0, 1]), guessed(guesses, sure, 2))
    shown = [example for example in chosen if example.kind == "confused"]
    assert [example.row for example in shown] == [1, 4, 3]
    assert [example.probability for example in shown] == pytest.approx([0.9, 0.8, 0.7])
    assert all((example.family, example.predicted) == (0, 1) for example in shown)


def test_a_frequent_confusion_is_followed_by_training_photos_of_the_other_family() -> None:
    labels, guesses = [0] * 5 + [1], [2] * 5 + [0]
    chosen = choose_examples(np.array(labels), np.array([2, 0, 2, 2, 1]), guessed(guesses, [0.5] * 6, 3))
    assert [(e.kind, e.split, e.family, e.predicted) for e in chosen[:5]] == [
        *[("confused", "test", 0, 2)] * PHOTOS_PER_PAIR,
        *[("compare", "train", 2, 2)] * PHOTOS_TO_COMPARE,
    ]
    assert [example.row for example in chosen[3:5]] == [0, 3]


def test_however_many_mistakes_there_are_few_photos_are_copied() -> None:
    chance = np.random.default_rng(0)
    labels = chance.integers(0, 200, 3000)
    chosen = choose_examples(labels, chance.integers(0, 200, 9000), chance.random((3000, 200)).astype(np.float32))
    assert len(chosen) <= PAIRS * (PHOTOS_PER_PAIR + PHOTOS_TO_COMPARE)


def test_files_and_table_belong_together(small_dataset: Dataset, tmp_path: Path) -> None:
    worker = make_worker(small_dataset, tmp_path)
    test, train = worker.photos("test", 32), worker.photos("train", 32)
    names = small_dataset.class_names
    wrong = guessed([(label + 1) % len(names) for label in test.labels], [0.9] * len(test), len(names))
    write_examples(test, train, names, wrong, tmp_path / "examples")
    with (tmp_path / "examples" / "examples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == {file.name for file in (tmp_path / "examples").glob("*.jpg")}
    for row in rows:
        ids = (test if row["split"] == "test" else train).photo_ids
        assert row["photo_id"] in ids
        assert (row["family"] == row["predicted"]) == (row["kind"] == "compare")
    first = rows[0]
    place = list(test.photo_ids).index(first["photo_id"])
    pixels = Image.fromarray(test.read(np.array([place]))[0]).resize(
        (EXAMPLE_SIDE, EXAMPLE_SIDE), Image.Resampling.BILINEAR
    )
    with Image.open(tmp_path / "examples" / first["file"]) as copy:
        assert np.abs(np.asarray(copy, int) - np.asarray(pixels, int)).mean() < 4  # JPEG


def test_a_model_without_a_mistake_has_an_empty_table(small_dataset: Dataset, tmp_path: Path) -> None:
    worker = make_worker(small_dataset, tmp_path)
    test, train = worker.photos("test", 32), worker.photos("train", 32)
    right = guessed(test.labels.tolist(), [0.9] * len(test), len(small_dataset.class_names))
    write_examples(test, train, small_dataset.class_names, right, tmp_path / "examples")
    assert [file.name for file in (tmp_path / "examples").iterdir()] == ["examples.csv"]


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
