import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.training_example import make_worker
from trainables.data.dataset import Dataset
from trainables.example_photos import PAIRS, PHOTOS_PER_PAIR, PHOTOS_TO_COMPARE, SIDE, choose, write_examples


def probabilities(guesses: list[int], sure: list[float], classes: int) -> np.ndarray:
    rows = np.repeat((1 - np.array(sure, np.float32))[:, None] / (classes - 1), classes, axis=1)
    rows[np.arange(len(guesses)), guesses] = sure
    return rows


def test_of_a_confusion_the_surest_mistakes_are_shown_and_right_answers_never() -> None:
    labels, guesses, sure = [0, 0, 0, 0, 0, 1], [1, 1, 0, 1, 1, 1], [0.6, 0.9, 0.99, 0.7, 0.8, 0.99]
    chosen = choose(np.array(labels), np.array([0, 1]), probabilities(guesses, sure, 2))
    shown = [example for example in chosen if example.kind == "confused"]
    assert [example.row for example in shown] == [1, 4, 3]
    assert [example.probability for example in shown] == pytest.approx([0.9, 0.8, 0.7])
    assert all((example.family, example.predicted) == (0, 1) for example in shown)


def test_a_frequent_confusion_is_followed_by_training_photos_of_the_other_family() -> None:
    labels, guesses = [0] * 5 + [1], [2] * 5 + [0]
    chosen = choose(np.array(labels), np.array([2, 0, 2, 2, 1]), probabilities(guesses, [0.5] * 6, 3))
    assert [(e.kind, e.split, e.family, e.predicted) for e in chosen[:5]] == [
        *[("confused", "test", 0, 2)] * PHOTOS_PER_PAIR,
        *[("compare", "train", 2, 2)] * PHOTOS_TO_COMPARE,
    ]
    assert [example.row for example in chosen[3:5]] == [0, 3]


def test_however_many_mistakes_there_are_few_photos_are_copied() -> None:
    chance = np.random.default_rng(0)
    labels = chance.integers(0, 200, 3000)
    chosen = choose(labels, chance.integers(0, 200, 9000), chance.random((3000, 200)).astype(np.float32))
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
    pixels = Image.fromarray(test.read(np.array([place]))[0]).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    with Image.open(tmp_path / "examples" / first["file"]) as copy:
        assert np.abs(np.asarray(copy, int) - np.asarray(pixels, int)).mean() < 4  # JPEG


def test_a_model_without_a_mistake_has_an_empty_table(small_dataset: Dataset, tmp_path: Path) -> None:
    worker = make_worker(small_dataset, tmp_path)
    test, train = worker.photos("test", 32), worker.photos("train", 32)
    right = probabilities(test.labels.tolist(), [0.9] * len(test), len(small_dataset.class_names))
    write_examples(test, train, small_dataset.class_names, right, tmp_path / "examples")
    assert [file.name for file in (tmp_path / "examples").iterdir()] == ["examples.csv"]
