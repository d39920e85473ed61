import shutil
from pathlib import Path

import pytest

from trainables.data.dataset import Dataset
from trainables.inference.export import Exported, export
from trainables.inference.formats import FORMATS

Written = dict[str, Exported]


@pytest.fixture(scope="session")
def written(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The tiny model in every format, in a folder whose name TensorFlow takes for a pattern."""
    exported = export(tiny_model, list(FORMATS), tmp_path_factory.mktemp("exported") / "formats [1]")
    assert exported.failed == {}
    return dict(zip(FORMATS, exported.written, strict=True))


@pytest.fixture
def album(small_dataset: Dataset, tmp_path: Path) -> Path:
    """Five photos in two folders, one damaged, and what is no photo."""
    photos = sorted(Path(small_dataset.manifest.source).rglob("*.png"))[:4]
    (tmp_path / "album" / "deep").mkdir(parents=True)
    for photo, name in zip(photos, ("b.png", "a.PNG", "deep/c.png", "deep/d.png"), strict=True):
        shutil.copy(photo, tmp_path / "album" / name)
    (tmp_path / "album" / "broken.jpg").write_bytes(b"no picture")
    for other in ("notes.txt", ".hidden.png", "deep/.thumbs.jpg"):
        (tmp_path / "album" / other).write_bytes(b"")
    return tmp_path / "album"
