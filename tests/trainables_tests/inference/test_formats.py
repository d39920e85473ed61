"""trainables/inference/formats.py: the contract that every export format keeps."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from tests.checkout import ROOT
from tests.trainables_tests.inference.conftest import Written
from trainables.inference.formats import FORMATS
from trainables.inference.keras_model import load_classifier, read_labels

of_every_format = pytest.mark.parametrize("name", FORMATS)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")  # Its successor is another package.
@of_every_format
def test_it_predicts_what_the_model_predicts_for_any_number_of_photos(
    name: str, written: Written, tiny_model: Path
) -> None:
    assert written[name].path.name == FORMATS[name].file
    assert written[name].difference <= 1e-5 and written[name].megabytes > 0.001
    photos = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)
    expected = load_classifier(tiny_model).model.predict_on_batch(photos)
    predict = FORMATS[name].read(written[name].path)
    np.testing.assert_allclose(predict(photos), expected, atol=1e-5)
    np.testing.assert_allclose(predict(photos[:1]), expected[:1], atol=1e-5)


@of_every_format
def test_the_labels_travel_inside(name: str, written: Written, tiny_model: Path) -> None:
    expected = read_labels(tiny_model / "model.keras").model_dump(mode="json")
    assert json.loads(FORMATS[name].labels(written[name].path)) == expected


@of_every_format
def test_its_packages_stand_in_its_requirements(name: str) -> None:
    kind = FORMATS[name]
    assert all(importlib.util.find_spec(package) for package in kind.packages)
    assert kind.name == name and kind.reader
    pinned = (ROOT / kind.requirements).read_text() if kind.packages else ""
    assert all(f"{package}==" in pinned for package in kind.packages)


def test_no_two_formats_have_one_file() -> None:
    assert len({kind.file for kind in FORMATS.values()}) == len(FORMATS)
