from pathlib import Path

import pytest
from PIL import Image

from trainables.data.commands import write_digits
from trainables.errors import UserError


def test_the_demo_photos_are_real_images_with_a_long_tail(tmp_path: Path) -> None:
    counts = write_digits(tmp_path / "photos", most=30, fewest=5)
    assert {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / "photos").iterdir()} == counts
    sizes = list(counts.values())
    assert (sizes[0], sizes[-1]) == (30, 5)
    assert sizes == sorted(sizes, reverse=True)
    files = list((tmp_path / "photos").rglob("*.*"))
    assert {file.suffix for file in files} == {".jpg", ".png"}
    assert len({file.read_bytes() for file in files}) == len(files)
    with Image.open(files[0]) as picture:
        assert (picture.mode, picture.size) == ("RGB", (96, 96))


def test_the_demo_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="is not empty"):
        write_digits(tmp_path)
