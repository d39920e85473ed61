from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.training_example import red_or_green
from trainables.config import Backbone
from trainables.errors import UserError
from trainables.inference.explain import GradCam, explain, overlay
from trainables.inference.keras_model import Classifier, Labels
from trainables.network.backbones import Weights, build_backbone, scaling_layer


@pytest.fixture
def corners() -> Any:
    """Red in the upper left corner, green in the lower right one."""
    pixels = np.zeros((1, 24, 24, 3), np.uint8)
    pixels[0, :4, :4, 0] = 255
    pixels[0, -4:, -4:, 1] = 255
    return pixels


def test_the_heat_lies_where_the_family_is_seen(corners: Any) -> None:
    cam = GradCam(red_or_green())
    both = cam.heat(np.concatenate([corners, corners]), [0, 1])
    assert both.shape == (2, 6, 6) and both.dtype == np.float32
    expected = np.zeros((2, 6, 6), np.float32)
    expected[0, 0, 0] = expected[1, 5, 5] = 1
    np.testing.assert_allclose(both, expected, atol=1e-5)


def test_a_photo_with_nothing_of_the_family_has_no_heat(corners: Any) -> None:
    corners[..., 0] = 0
    assert GradCam(red_or_green()).heat(corners, [0]).max() == 0


def test_a_certain_answer_still_has_heat(corners: Any) -> None:
    """The slope of a probability near 1 is nothing; the score's is not."""
    model = red_or_green()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([1e6 * kernel, bias])
    corners[..., 1] = 0
    assert model.predict(corners, verbose=0)[0, 0] == 1
    assert GradCam(model).heat(corners, [0]).max() == 1


@pytest.mark.parametrize(("backbone", "size"), [("mobilenet_v2", 96), ("densenet121", 64), ("simple_cnn", 32)])
def test_it_looks_at_the_last_map_that_is_fine_enough(backbone: Backbone, size: int) -> None:
    base = build_backbone(backbone, size, Weights("random", "drawn", "random"), 0)
    pixels = keras.Input((size, size, 3))
    features = keras.layers.GlobalAveragePooling2D()(base(scaling_layer(backbone)(pixels)))
    cam = GradCam(keras.Model(pixels, keras.layers.Dense(4, activation="softmax")(features)))
    assert 5 <= cam.cells < size
    heat = cam.heat(np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8), [0, 3])
    assert heat.shape == (2, cam.cells, cam.cells)
    assert np.isfinite(heat).all() and heat.min() >= 0 and heat.max() <= 1


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(UserError, match="retrain"):
        GradCam(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))


def test_hot_parts_keep_their_colour_and_cold_parts_lose_it() -> None:
    photo = Image.new("RGB", (80, 40), (20, 60, 200))
    heat = np.zeros((4, 4), np.float32)
    heat[:, 2:] = 1
    shown = np.asarray(overlay(photo, heat)).astype(int)
    assert shown.shape == (40, 80, 3)
    np.testing.assert_array_equal(shown[:, 60:], np.broadcast_to([20, 60, 200], (40, 20, 3)))
    cold = shown[20, 5]
    assert np.ptp(cold) == 0 and cold[0] < np.asarray(photo.convert("L"))[20, 5]


def test_a_line_parts_hot_from_cold() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[:, 2:] = 1
    shown = np.asarray(overlay(Image.new("RGB", (80, 40)), heat))
    lines = np.flatnonzero(shown[20, :, 0] == 255)
    assert len(lines) == 1 and 30 < lines[0] < 42


def test_without_heat_all_of_it_is_grey() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8))
    shown = np.asarray(overlay(photo, np.zeros((3, 3), np.float32)))
    assert (np.ptp(shown, axis=2) == 0).all()


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
