"""trainables/review/labelling.py: the photos to label next are unsure, diverse, and of families that lack photos."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.conftest import Command
from tests.trainables_tests.training_example import SMALL, red_or_green
from trainables.files.output import read_rows
from trainables.guarantee import Guarantee
from trainables.inference.keras_model import save_model
from trainables.review.labelling import draw


def test_unsure_photos_come_before_sure_ones() -> None:
    probabilities = np.array([[0.999, 0.001]] * 95 + [[0.55, 0.45]] * 5)
    features = np.random.default_rng(0).normal(size=(100, 8))
    chosen = draw(probabilities, features, np.ones(2), 5, np.random.default_rng(0))
    assert len({*chosen}) == 5 and sum(place >= 95 for place in chosen) >= 4


def test_no_two_of_a_kind_while_there_are_others() -> None:
    """Fifty copies of one unsure photo and four others, as unsure."""
    random = np.random.default_rng(1)
    kinds = random.normal(size=(5, 16))
    features = np.concatenate([np.repeat(kinds[:1], 50, axis=0), kinds[1:]])
    chosen = draw(np.full((54, 2), 0.5), features, np.ones(2), 5, random)
    assert sum(place < 50 for place in chosen) == 1
    # When nothing new is left, copies fill the list.
    assert len({*draw(np.full((54, 2), 0.5), features, np.ones(2), 8, random)}) == 8


def test_a_family_that_lacks_photos_counts_more() -> None:
    """Half of the photos waver between two common families, half between two rare ones."""
    probabilities = np.repeat([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]], 100, axis=0)
    features, weights = np.random.default_rng(2).normal(size=(200, 32)), np.array([1, 1, 4, 4])
    rare = [
        sum(place >= 100 for place in draw(probabilities, features, each, 20, np.random.default_rng(seed)))
        for seed in range(10)
        for each in (weights, np.ones(4))
    ]
    assert np.mean(rare[::2]) > 15 and 6 < np.mean(rare[1::2]) < 14


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Red or green, with a guarantee and twice as many green photos as red ones."""
    guarantee = Guarantee(
        temperature=0.1, shares=(0.3, 0.7), scores=(0.0,), power=1, evidence_below=0.29, probability_below=0.5
    )
    (tmp_path / "model").mkdir()
    config = SMALL.model_copy(update={"image_size": 24})
    save_model(red_or_green(24), ("red", "green"), config, tmp_path / "model", guarantee)
    return tmp_path / "model"


def test_the_command_writes_a_list_and_a_contact_sheet(model: Path, tmp_path: Path, run: Command) -> None:
    photos = tmp_path / "photos" / "deep"
    photos.mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (30, 20), (250, number, 0)).save(photos / f"sure{number}.png")
    Image.new("RGB", (20, 30), (200, 202, 0)).save(photos / "unsure.png")
    Image.new("RGB", (20, 30), (255, 255, 255)).save(photos / 'un"known.png')
    (photos / "broken.jpg").write_bytes(b"no picture")
    done = run("next", model, tmp_path / "photos", tmp_path / "out", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "looking at 9 photos\n1 of them cannot be read\n" in done.stdout
    rows = read_rows(tmp_path / "out" / "next.csv")
    assert rows[0]["source"] in ("deep/unsure.png", 'deep/un"known.png')
    by_source = {row["source"]: row for row in rows}
    assert by_source["deep/unsure.png"]["reason"].startswith("unsure between ")
    assert by_source['deep/un"known.png']["unknown"] == "true"
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('<li class="card">') == 3 and 'data-source="deep/un&#34;known.png"' in page
    again = run("next", model, tmp_path / "photos", tmp_path / "out")
    assert again.returncode == 2 and "is not empty" in again.stderr


def test_a_model_without_a_guarantee_is_refused(tiny_model: Path, tmp_path: Path, run: Command) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "photos" / "one.png")
    done = run("next", tiny_model, tmp_path / "photos", tmp_path / "out")
    assert done.returncode == 2 and "this model has no guarantee" in done.stderr and not (tmp_path / "out").exists()
