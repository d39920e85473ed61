"""trainables/inference/formats.py: what another program finds in each format."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from trainables.errors import UserError
from trainables.inference import commands as model_commands
from trainables.inference import formats
from trainables.inference.formats import FORMATS, Format, export
from trainables.inference.keras_model import read_labels


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SavedModel and TFLite of the tiny model."""
    out = tmp_path_factory.mktemp("exported") / "formats"
    written = export(tiny_model, ["saved_model", "tflite"], out)
    assert [each.path.name for each in written] == ["saved_model", "model.tflite"]
    assert all(each.difference <= 1e-5 and each.megabytes > 0.001 for each in written)
    return out


def test_the_command_offers_what_there_is() -> None:
    assert tuple(FORMATS) == model_commands.FORMATS


def test_photos_of_the_dataset_are_compared_and_drawn_ones_where_it_is_gone(tiny_model: Path, tmp_path: Path) -> None:
    real, drawn = formats._some_pixels(tiny_model, 24), formats._some_pixels(tmp_path, 24)
    assert real.shape[1:] == drawn.shape[1:] == (24, 24, 3)
    assert len(real) > 1 and len(drawn) > 1 and real.dtype == drawn.dtype == np.uint8


def test_labels_travel_inside(exported: Path, tiny_model: Path) -> None:
    expected = read_labels(tiny_model / "model.keras").model_dump(mode="json")
    assert json.loads((exported / "saved_model" / "assets.extra" / "labels.json").read_text()) == expected
    with zipfile.ZipFile(exported / "model.tflite") as inside:
        assert json.loads(inside.read("labels.json")) == expected


def test_tensorflow_alone_serves_the_saved_model(exported: Path) -> None:
    import tensorflow as tf

    served = tf.saved_model.load(exported / "saved_model").signatures["serving_default"]
    (probabilities,) = served(tf.zeros((5, 24, 24, 3))).values()
    np.testing.assert_allclose(probabilities.numpy().sum(axis=1), 1, atol=1e-5)


def test_a_model_that_predicts_otherwise_is_not_kept(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uneven(path: Path) -> formats.Predict:
        return lambda pixels: np.full((len(pixels), 2), 0.5, np.float32)

    broken = Format("broken", lambda model, labels, path: path.write_text("x") and None, uneven)
    monkeypatch.setitem(formats.FORMATS, "broken", broken)
    with pytest.raises(UserError, match="broken: its probabilities differ"):
        export(tiny_model, ["broken"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_format_whose_packages_are_missing_is_refused_at_once(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats.FORMATS, "onnx", FORMATS["onnx"]._replace(needs=("no_such_package",)))
    with pytest.raises(UserError, match=r"needs no_such_package; pip install -r requirements-onnx\.txt"):
        export(tiny_model, ["onnx"], tmp_path / "out")


def test_onnx_predicts_the_same_and_holds_the_labels(tiny_model: Path, tmp_path: Path) -> None:
    import onnx

    (written,) = export(tiny_model, ["onnx"], tmp_path / "out")
    assert written.difference < 1e-5
    properties = {each.key: each.value for each in onnx.load(written.path).metadata_props}
    assert json.loads(properties["labels"]) == read_labels(tiny_model / "model.keras").model_dump(mode="json")
