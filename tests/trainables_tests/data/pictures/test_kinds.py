import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.data.pictures.kinds import PHOTO_SUFFIXES, jxl_shape, kind_of, why_no_photo


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000"])
def test_a_picture_without_an_ending_is_told_by_its_bytes(kind: str, tmp_path: Path) -> None:
    image = encoded(drawn(1), kind)
    assert kind_of(image) == kind
    for name in ("IMG_0001", "photo.jpg_large"):
        (tmp_path / name).write_bytes(image)
        assert why_no_photo(tmp_path / name) is None


@pytest.mark.parametrize("name", ["notes.txt", "README", "clip.mp4"])
def test_what_is_no_picture_is_passed_over(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\0\0\0\x20ftypisom words")
    assert why_no_photo(tmp_path / name) == "by its name and its first bytes"


def test_a_raw_file_is_no_tiff(tmp_path: Path) -> None:
    (tmp_path / "IMG.NEF").write_bytes(encoded(drawn(1), "TIFF"))
    assert why_no_photo(tmp_path / "IMG.NEF") == "a camera's raw file; export it as JPEG or TIFF"


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert why_no_photo(tmp_path / "pipe") == "a broken link or a special file"


def test_a_known_ending_is_believed_until_it_is_read(tmp_path: Path) -> None:
    for suffix in PHOTO_SUFFIXES:
        (tmp_path / f"x{suffix.upper()}").write_bytes(b"no picture")
        assert why_no_photo(tmp_path / f"x{suffix.upper()}") is None


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (96, 72), (400, 300), (1201, 77), (48, 256), (1000, 500), (5, 9000)])
def test_the_size_of_a_jpeg_xl_stands_in_its_header(size: tuple[int, int], container: bool) -> None:
    width, height = size
    image = imagecodecs.jpegxl_encode(np.zeros((height, width, 3), np.uint8), level=90, usecontainer=container)
    assert jxl_shape(bytes(image)) == size


def test_a_damaged_jpeg_xl_container_says_so() -> None:
    with pytest.raises(ValueError, match="a JPEG XL container without a picture"):
        jxl_shape(b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x08free" * 2)
