import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.training_example import make_worker, red_or_green
from trainables.data.dataset import Dataset
from trainables.final.mistakes import (
    EXAMPLE_SIDE,
    MOST,
    PAIRS,
    PHOTOS_PER_PAIR,
    PHOTOS_TO_COMPARE,
    SIDE,
    choose_examples,
    most_confident,
    write_examples,
    write_mistakes,
)


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
                assert shown.size == source.size and max(shown.size) <= SIDE
    assert len(list(tmp_path.glob("*.jpg"))) == 2 * len(rows)


def test_a_model_without_mistakes_leaves_an_empty_list(small_dataset: Dataset, tmp_path: Path) -> None:
    photos = make_worker(small_dataset, tmp_path / "store").photos("test", 24)
    probabilities = np.eye(4, dtype=np.float32)[photos.labels]
    write_mistakes(red_or_green(), photos, probabilities, small_dataset, tmp_path)
    assert table(tmp_path) == []
    assert (tmp_path / "mistakes.csv").read_text().startswith("photo,cam,photo_id")


def probabilities(guesses: list[int], sure: list[float], classes: int) -> np.ndarray:
    rows = np.repeat((1 - np.array(sure, np.float32))[:, None] / (classes - 1), classes, axis=1)
    rows[np.arange(len(guesses)), guesses] = sure
    return rows


def test_of_a_confusion_the_surest_mistakes_are_shown_and_right_answers_never() -> None:
    labels, guesses, sure = [0, 0, 0, 0, 0, 1], [1, 1, 0, 1, 1, 1], [0.6, 0.9, 0.99, 0.7, 0.8, 0.99]
    chosen = choose_examples(np.array(labels), np.array([0, 1]), probabilities(guesses, sure, 2))
    shown = [example for example in chosen if example.kind == "confused"]
    assert [example.row for example in shown] == [1, 4, 3]
    assert [example.probability for example in shown] == pytest.approx([0.9, 0.8, 0.7])
    assert all((example.family, example.predicted) == (0, 1) for example in shown)


def test_a_frequent_confusion_is_followed_by_training_photos_of_the_other_family() -> None:
    labels, guesses = [0] * 5 + [1], [2] * 5 + [0]
    chosen = choose_examples(np.array(labels), np.array([2, 0, 2, 2, 1]), probabilities(guesses, [0.5] * 6, 3))
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
    wrong = probabilities([(label + 1) % len(names) for label in test.labels], [0.9] * len(test), len(names))
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
    right = probabilities(test.labels.tolist(), [0.9] * len(test), len(small_dataset.class_names))
    write_examples(test, train, small_dataset.class_names, right, tmp_path / "examples")
    assert [file.name for file in (tmp_path / "examples").iterdir()] == ["examples.csv"]
