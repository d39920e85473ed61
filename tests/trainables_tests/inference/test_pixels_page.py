"""docs/pixels.md: its snippets answer what `predict` answers."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.checkout import ROOT
from tests.trainables_tests.drawn_photos import drawn
from tests.trainables_tests.inference.conftest import Written
from trainables.inference.export import export
from trainables.inference.keras_model import load_classifier

PAGE = (ROOT / "docs" / "pixels.md").read_text()
COMMON, *SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
NAMES = re.findall(r"^## (\w+)", PAGE, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tiny_model: Path, written: Written, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in every format, and a phone's photo that lies on its side."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(tiny_model / "model.keras", folder)
    for name in ("tflite", "onnx"):
        shutil.copy(written[name].path, folder)
    export(tiny_model, ["saved_model"], folder / "exported", decode=True)
    shutil.move(folder / "exported" / "saved_model", folder)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    drawn(1, (400, 300)).save(folder / "photo.jpg", exif=exif, quality=95)
    return folder


@pytest.mark.parametrize(("name", "snippet"), list(zip(NAMES, SNIPPETS, strict=True)), ids=NAMES)
def test_each_snippet_answers_what_predict_answers(name: str, snippet: str, folder: Path) -> None:
    if name == "SavedModel":  # It turns no photo, as the page says.
        turned = drawn(1, (400, 300)).transpose(Image.Transpose.ROTATE_270)
        turned.save(folder / "photo.jpg", quality=95)
    done = subprocess.run(
        [sys.executable, "-c", f"{COMMON}\n{snippet}"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (answer,) = load_classifier(folder / "model.keras").answers([folder / "photo.jpg"], top=1)
    family, probability = done.stdout.rsplit(maxsplit=1)
    assert family == answer.guesses[0].family
    tolerance = 0.02 if name == "SavedModel" else 1e-5
    assert float(probability) == pytest.approx(answer.guesses[0].probability, abs=tolerance)
