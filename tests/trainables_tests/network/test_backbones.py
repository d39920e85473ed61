import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.trainables_tests.training_example import random_backbone
from trainables.errors import UserError
from trainables.network.backbone_table import BACKBONES
from trainables.network.backbones import (
    Weights,
    build_backbone,
    check_weights,
    resolve_weights,
    scale_pixels,
    scaling_layer,
)
from trainables.network.trainable_layers import FILE, trainable_layers
from trainables.network.weight_files import SHAPES_FILE, shapes_of

PRETRAINED = [name for name, kind in BACKBONES.items() if kind.application is not None]


@pytest.mark.parametrize("backbone", PRETRAINED)
def test_pixels_are_scaled_as_keras_scales_them_for_these_weights(backbone: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("float32")
    builder = getattr(keras.applications, BACKBONES[backbone].application or "")
    expected = sys.modules[builder.__module__].preprocess_input(pixels.copy())
    np.testing.assert_allclose(scale_pixels(backbone, pixels), expected, atol=1e-4)
    np.testing.assert_allclose(scaling_layer(backbone)(pixels), expected, atol=1e-4)


def test_inception_gets_minus_one_to_one_and_not_zero_to_one() -> None:
    ends = np.asarray(scale_pixels("inception_v3", np.array([[[[0, 127.5, 255]]]])))
    np.testing.assert_allclose(ends.ravel(), [-1, 0, 1], atol=1e-6)


def test_random_weights_are_the_same_in_every_process_of_a_sweep() -> None:
    random = Weights("random", "", "random")
    first, again, other = (build_backbone("mobilenet_v2", 32, random, seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_auto_falls_back_to_random_weights_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.applications, "InceptionV3", _offline)
    weights = resolve_weights("inception_v3", "auto")
    assert weights.kind == "random"
    assert "ImageNet weights for inception_v3" in (weights.warning or "")


def test_imagenet_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.applications, "InceptionV3", _offline)
    with pytest.raises(UserError, match="no network here"):
        resolve_weights("inception_v3", "imagenet")


def test_a_weights_path_that_does_not_exist_is_refused_with_what_would_be_valid() -> None:
    with pytest.raises(UserError, match=r"no file 'nowhere.h5'.*auto.*imagenet.*random"):
        check_weights("inception_v3", "nowhere.h5")


def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save_weights(file)
    with pytest.raises(UserError, match="lacks 376 of its 376 arrays") as error:
        resolve_weights("inception_v3", str(file))
    assert "\n" not in str(error.value)
    # One whose arrays are all there, but elsewhere than Keras looks, is still refused by Keras.
    with pytest.raises(UserError, match="does not fit inception_v3") as error:
        build_backbone("inception_v3", 75, Weights("file", str(file), "f"), 0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["m.weights.h5", "m.keras", "m.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_what_keras_saves_of_a_backbone_fits_it_and_no_other(tmp_path: Path, name: str) -> None:
    base, file = random_backbone("mobilenet_v2", 32), tmp_path / name
    (base.save_weights if "weights" in name else base.save)(file)
    check_weights("mobilenet_v2", str(file))
    loaded = build_backbone("mobilenet_v2", 32, resolve_weights("mobilenet_v2", str(file)), 1)
    assert all(np.array_equal(a, b) for a, b in zip(base.get_weights(), loaded.get_weights(), strict=True))
    with pytest.raises(UserError, match=r"holds the weights of mobilenet_v2; a .* file of densenet121"):
        check_weights("densenet121", str(file))


def test_a_whole_model_is_called_one(tmp_path: Path) -> None:
    base = random_backbone("mobilenet_v2", 32)
    pooled = keras.layers.GlobalAveragePooling2D()(base(pixels := keras.Input((32, 32, 3))))
    model = keras.Model(pixels, keras.layers.Dense(3)(pooled))
    for name in ("m.weights.h5", "m.keras"):
        (model.save_weights if "weights" in name else model.save)(tmp_path / name)
        with pytest.raises(UserError, match="holds a whole model, mobilenet_v2 and 2 arrays besides: load it and save"):
            check_weights("mobilenet_v2", str(tmp_path / name))


def test_pictures_too_small_for_a_backbone_are_refused() -> None:
    with pytest.raises(UserError, match="needs at least 75 pixels, not 64"):
        build_backbone("inception_v3", 64, Weights("random", "", "random"), 0)


def test_the_shared_imagenet_weights_load_and_see_photos(shared: Path) -> None:
    """Features of photos of one family are closer to each other than to another family's: random weights fail this."""
    from trainables.data.images import decode_resized

    weights = resolve_weights("inception_v3", str(shared / "weights" / "inception_v3_imagenet_notop.weights.h5"))
    assert weights.kind == "file"
    base = build_backbone("inception_v3", 139, weights, 0)
    folders = [shared / "data" / "rare_families" / name for name in ("chordata_crocodylidae", "mollusca_nautilidae")]
    files = [file for folder in folders for file in sorted(folder.iterdir())[:10]]
    pixels = np.stack([decode_resized(file.read_bytes(), 139) for file in files])
    features = np.asarray(base(scale_pixels("inception_v3", pixels), training=False)).mean(axis=(1, 2))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    alike = features @ features.T
    same = np.r_[alike[:10, :10][~np.eye(10, dtype=bool)], alike[10:, 10:][~np.eye(10, dtype=bool)]].mean()
    assert same > alike[:10, 10:].mean() + 0.1


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_gives_a_map_of_features(backbone: str) -> None:
    base = random_backbone(backbone, BACKBONES[backbone].smallest_size)
    assert len(base.output.shape) == 4
    if BACKBONES[backbone].application is not None:
        assert trainable_layers(base) == json.loads(FILE.read_text())[backbone]
        assert shapes_of(base) == json.loads(SHAPES_FILE.read_text())[backbone]


def _offline(weights: str | None, **options: object) -> object:
    raise Exception("no network here")
