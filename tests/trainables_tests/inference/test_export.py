"""trainables/inference/export.py: what is compared, and what is refused; where other programs find the labels."""

import json
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.drawn_photos import drawn, encoded
from tests.trainables_tests.inference.conftest import Written
from trainables.__main__ import main
from trainables.data.images import decode_resized
from trainables.errors import UserError
from trainables.inference.decoding import decoding
from trainables.inference.export import PHOTOS, export
from trainables.inference.formats import FORMATS, Format, Predict
from trainables.inference.keras_model import load_classifier, read_labels


class Fake(Format):
    """Predicts by `predict` and keeps what it was asked about."""

    name, file, reader = "fake", "fake", "tests"

    def __init__(self, predict: Predict, labels: str = "") -> None:
        self.predict, self.found, self.asked = predict, labels, np.empty(0)

    def write(self, model: Any, path: Path) -> None:
        path.write_text("x")

    def read(self, path: Path) -> Predict:
        def predict(pixels: Any) -> Any:
            self.asked = pixels
            return self.predict(pixels)

        return predict

    def attach(self, labels: str, path: Path) -> None:
        self.found = self.found or labels

    def labels(self, path: Path) -> str:
        return self.found


def test_photos_of_the_dataset_are_compared_and_drawn_ones_where_it_is_gone(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(load_classifier(tiny_model).model.predict_on_batch)
    monkeypatch.setitem(FORMATS, "fake", fake)
    ((of_dataset,), _) = export(tiny_model, ["fake"], tmp_path / "real")
    real = fake.asked
    shutil.copy(tiny_model / "model.keras", tmp_path)
    ((drawn,), _) = export(tmp_path, ["fake"], tmp_path / "drawn")
    assert real.shape[1:] == fake.asked.shape[1:] == (24, 24, 3)
    assert real.dtype == fake.asked.dtype == np.uint8
    assert of_dataset.photos == len(real) > 1 and drawn.photos == len(fake.asked) == PHOTOS
    assert not np.array_equal(real[0], fake.asked[0])


def test_a_model_that_predicts_otherwise_is_not_kept(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "fake", Fake(lambda pixels: np.full((len(pixels), 2), 0.5, np.float32)))
    with pytest.raises(UserError, match="fake: its probabilities differ"):
        export(tiny_model, ["fake"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_with_other_labels_is_not_kept(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = load_classifier(tiny_model).model.predict_on_batch
    monkeypatch.setitem(FORMATS, "fake", Fake(predict, '{"class_names": ["green", "red"]}'))
    with pytest.raises(UserError, match=r"fake: its labels are not those of model\.keras"):
        export(tiny_model, ["fake"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_format_that_fails_costs_itself_alone(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken(Fake):
        name, file = "broken", "broken"

        def write(self, model: Any, path: Path) -> None:
            path.mkdir()
            (path / "half").write_text("x")
            raise RuntimeError("no\nsuch operator")

    predict = load_classifier(tiny_model).model.predict_on_batch
    monkeypatch.setitem(FORMATS, "broken", Broken(predict))
    monkeypatch.setitem(FORMATS, "fake", Fake(predict))
    out = str(tmp_path / "out")
    typed = ["trainables", "export", str(tiny_model), "--format", "broken", "fake", "--out", out]
    monkeypatch.setattr(sys, "argv", typed)
    assert main() == 2
    said = capfd.readouterr()
    assert said.out.startswith(f"{tmp_path / 'out' / 'fake'}  ") and said.out.count("\n") == 1
    assert said.err == "error: broken: this model cannot be converted: no such operator\n"
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["fake"]


def test_a_format_whose_packages_are_missing_is_refused_at_once(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(FORMATS["onnx"]), "packages", ("no_such_package",))
    with pytest.raises(UserError, match=r"needs no_such_package; pip install -r requirements-onnx\.txt"):
        export(tiny_model, ["onnx"], tmp_path / "out")


def test_other_programs_find_the_labels_and_the_signature(tiny_model: Path, written: Written, tmp_path: Path) -> None:
    import onnx
    import tensorflow as tf

    places = {name: exported.path for name, exported in written.items()}
    expected = read_labels(tiny_model / "model.keras").model_dump(mode="json")
    assert json.loads((places["saved_model"] / "assets.extra" / "labels.json").read_text()) == expected
    with zipfile.ZipFile(places["tflite"]) as inside:
        assert json.loads(inside.read("labels.json")) == expected
    properties = {each.key: each.value for each in onnx.load(places["onnx"]).metadata_props}
    assert json.loads(properties["labels"]) == expected
    shutil.copytree(places["saved_model"], tmp_path / "served")
    served = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    (probabilities,) = served(tf.zeros((5, 24, 24, 3))).values()
    np.testing.assert_allclose(probabilities.numpy().sum(axis=1), 1, atol=1e-5)


def test_a_saved_model_that_decodes_says_how_its_answers_differ(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    monkeypatch.setattr(
        sys, "argv", ["trainables", "export", str(tiny_model), "--format", "saved_model", "--decode", "--out", out]
    )
    assert main() == 0
    assert re.search(
        r"signature encoded: 0 of \d+ photos that it decodes itself get another answer, and probabilities",
        capfd.readouterr().out,
    )
    with pytest.raises(UserError, match="--decode: is for --format saved_model, not for tflite"):
        export(tiny_model, ["tflite"], tmp_path / "other", decode=True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_what_a_saved_model_decodes_is_nearly_what_pillow_decodes(kind: str) -> None:
    photos = [encoded(drawn(number, (400, 300)), kind) for number in (1, 2)]
    found = decoding(lambda pixels, training: pixels, 64)(photos).numpy()
    expected = np.stack([decode_resized(photo, 64) for photo in photos])
    assert np.abs(found - expected).mean() < 1.5
    assert found.min() >= 0 and found.max() <= 255 and np.array_equal(found, found.round())


def test_a_saved_model_lays_transparency_over_white() -> None:
    photo = encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 0)), "PNG")
    assert decoding(lambda pixels, training: pixels, 4)([photo]).numpy().min() == 255
