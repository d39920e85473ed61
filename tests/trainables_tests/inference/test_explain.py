from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.training_example import red_or_green
from trainables.errors import UserError
from trainables.inference.explain import explain
from trainables.inference.keras_model import Labels
from trainables.inference.predict import Classifier

LABELS = Labels(class_names=("red", "green"), image_size=24, backbone="simple_cnn")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(red_or_green(), LABELS)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Red on the left edge, a little green on the right one, 96 × 48 pixels."""
    picture = np.zeros((48, 96, 3), np.uint8)
    picture[:, :32, 0] = 250
    picture[:, 80:, 1] = 250
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def warmth(file: Path) -> np.ndarray:
    """How colourful each column of the overlay, the right one of the two pictures, is."""
    with Image.open(file) as both:
        assert both.size == (96 + 8 + 96, 48)
        overlay = np.asarray(both.convert("RGB")).astype(int)[:, 104:]
    return np.ptp(overlay, axis=2).mean(axis=0)


def test_the_likeliest_family_is_explained_unless_another_is_asked_for(
    classifier: Classifier, photo: Path, tmp_path: Path
) -> None:
    _, (likeliest,) = explain(classifier, [photo], None, tmp_path / "out")
    assert likeliest.about.family == "red" and likeliest.about.probability > 0.5
    assert likeliest.file == tmp_path / "out" / "photo_cam.jpg"
    columns = warmth(likeliest.file)
    assert columns[:24].mean() > 3 * columns[72:].mean()
    _, (asked,) = explain(classifier, [photo], "green", tmp_path / "out")
    assert asked.about.probability == pytest.approx(1 - likeliest.about.probability, abs=1e-5)
    columns = warmth(asked.file)
    assert columns[80:].mean() > 3 * columns[:24].mean()


def test_bad_input_is_refused_before_anything_is_written(classifier: Classifier, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    out = tmp_path / "out"
    for photos, family, says in (
        ([photo], "blue", "red, green"),
        ([photo, tmp_path / "photo.jpg"], None, "one by one"),
        ([photo, tmp_path / "gone.jpg"], None, "gone.jpg cannot be read"),
        ([photo, tmp_path / "text.jpg"], None, "no picture"),
    ):
        with pytest.raises(UserError, match=says):
            explain(classifier, photos, family, out)
    assert not out.exists()


def test_a_model_without_a_backbone_inside_is_refused(photo: Path, tmp_path: Path) -> None:
    flat = keras.Sequential([keras.Input((24, 24, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(UserError, match="a backbone and a head"):
        explain(Classifier(flat, LABELS), [photo], None, tmp_path)
