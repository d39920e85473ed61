import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.training_example import make_worker, red_or_green
from trainables.data.dataset import Dataset
from trainables.final.mistakes import MOST, SIDE, most_confident, write_mistakes


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
