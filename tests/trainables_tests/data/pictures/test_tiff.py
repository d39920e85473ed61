"""TIFF as microscopes, ImageJ and scanners write it: each file is generated, and what must be seen is known."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.data.images import MAX_PIXELS, ImageUnreadable, decode, decode_resized, image_size

WIDTH, HEIGHT = 96, 72
COLOUR = np.asarray(drawn(1))
GREY = np.asarray(drawn(1).convert("L"))
COMPRESSIONS = (None, "deflate", "lzw")
Array = npt.NDArray[Any]


def written(samples: Array, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **({"metadata": None} | options))
    return stream.getvalue()


def seen(image: bytes) -> npt.NDArray[np.int16]:
    assert image_size(image) == decode(image).size
    assert decode_resized(image, 40).shape == (40, 40, 3)
    return np.asarray(decode(image), np.int16)


def distance(image: bytes, expected: Array) -> int:
    """The largest difference of a sample, in grey levels."""
    expected = np.repeat(expected[:, :, None], 3, axis=2) if expected.ndim == 2 else expected
    return int(np.abs(seen(image) - expected.astype(np.int16)).max())


def planes(samples: Array) -> Array:
    return np.moveaxis(samples, -1, 0)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("samples", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("bits", [12, 14, 16])
def test_deep_samples_keep_their_share_of_their_own_white(
    bits: int, samples: Array, order: str, compression: str | None
) -> None:
    deep = np.round(samples / samples.max() * (2**bits - 1)).astype(np.uint16)
    photometric = "rgb" if samples.ndim == 3 else "minisblack"
    image = written(deep, photometric=photometric, byteorder=order, compression=compression)
    assert distance(image, np.round(samples / samples.max() * 255)) <= 1


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_planar_colour_is_no_stripes(kind: str, compression: str | None) -> None:
    deep = (COLOUR.astype(np.uint32) * (257 if kind == "u2" else 1)).astype(kind)
    image = written(planes(deep), photometric="rgb", planarconfig="separate", compression=compression)
    assert distance(image, COLOUR) <= 1


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_white_is_zero_is_shown_as_seen(kind: str) -> None:
    scale = {"u1": 1, "u2": 257, "f4": 1 / 255}[kind]
    assert distance(written(((255.0 - GREY) * scale).astype(kind), photometric="miniswhite"), GREY) <= 1


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (GREY.astype(np.float32) / 255, GREY),
        (GREY.astype(np.float32), GREY),
        (GREY.astype(np.float64) * 40 - 100, None),
        (GREY.astype(np.uint32), GREY),
        (GREY.astype(np.uint32) * 257, GREY),
        (GREY.astype(np.uint32) * 16_000_000, None),
        (GREY.astype(np.int16), GREY),
        (GREY.astype(np.int16) * 16 - 1024, None),
        (GREY.astype(np.int32) * 257, GREY),
        (GREY.astype(np.float16) / 255, GREY),
    ],
    ids=["0..1", "0..255", "float stretched", "u4 of 8", "u4 of 16", "u4 stretched", "i2 of 8", "i2 stretched",
         "i4 of 16", "half float"],
)  # fmt: skip
def test_each_type_has_one_rule(samples: Array, expected: Array | None) -> None:
    low, high = float(GREY.min()), float(GREY.max())
    stretched = np.round((GREY - low) / (high - low) * 255)
    assert distance(written(samples, photometric="minisblack"), stretched if expected is None else expected) <= 1


def test_what_is_no_number_is_as_dark_as_the_darkest() -> None:
    samples = GREY.astype(np.float32) * 40 + 100
    samples[3, 4] = np.nan
    assert seen(written(samples, photometric="minisblack"))[3, 4].tolist() == [0, 0, 0]


def test_a_declared_largest_sample_is_the_white() -> None:
    image = written((GREY // 4).astype(np.uint16), photometric="minisblack", extratags=[(281, "H", 1, 1023, True)])
    assert distance(image, np.round(GREY // 4 / 1023 * 255)) <= 1


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("program", ["imagej", "ome"])
@pytest.mark.parametrize("axes", ["CYX", "TZCYX"])
def test_channels_of_imagej_and_ome_are_colours(axes: str, program: str, kind: str) -> None:
    deep = planes(COLOUR.astype(np.uint32) * (257 if kind == "u2" else 1)).astype(kind)
    stack = deep if axes == "CYX" else np.stack([np.stack([deep, 255 - deep])] * 2)
    for compression in (None, "deflate") if program == "ome" else (None,):
        options = {program: True, "metadata": {"axes": axes}, "compression": compression, "photometric": "minisblack"}
        assert distance(written(stack, **options), COLOUR) <= 1


def test_two_channels_are_red_and_green() -> None:
    image = written(planes(COLOUR[:, :, :2]), imagej=True, metadata={"axes": "CYX"})
    assert distance(image, COLOUR * np.array([1, 1, 0], np.uint8)) == 0


def test_transparency_of_sixteen_bits_is_laid_over_white() -> None:
    samples = np.concatenate([COLOUR.astype(np.uint16) * 257, np.zeros((HEIGHT, WIDTH, 1), np.uint16)], axis=2)
    image = written(samples, photometric="rgb", extrasamples=["unassalpha"])
    assert distance(image, np.full_like(COLOUR, 255)) == 0


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_a_fifth_channel_and_odd_colours_are_refused_by_name(kind: str) -> None:
    for samples, options in (
        (np.zeros((5, HEIGHT, WIDTH), kind), {"imagej": True, "metadata": {"axes": "CYX"}}),
        (np.zeros((HEIGHT, WIDTH, 3), "u2"), {"photometric": "cielab"}),
        (np.zeros((HEIGHT, WIDTH), np.complex64), {"photometric": "minisblack"}),
    ):
        with pytest.raises(ImageUnreadable, match=r"channels|CIELab|complex64") as caught:
            decode(written(samples, **options))
        assert caught.value.reason == "unsupported"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_every_orientation_is_turned_and_measured_as_shown(kind: str, orientation: int) -> None:
    stored = {
        1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1],
        5: GREY.T, 6: np.rot90(GREY), 7: np.rot90(GREY.T, 2), 8: np.rot90(GREY, 3),
    }[orientation]  # fmt: skip
    deep = np.ascontiguousarray(stored.astype(np.uint32) * (257 if kind == "u2" else 1)).astype(kind)
    image = written(deep, photometric="minisblack", extratags=[(274, "H", 1, orientation, True)])
    assert image_size(image) == (WIDTH, HEIGHT)
    assert distance(image, GREY) <= 1


def test_the_first_page_of_a_stack_is_the_photo() -> None:
    assert distance(written(np.stack([GREY, 255 - GREY]), photometric="minisblack"), GREY) == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_shallow_pictures_of_every_mode_are_read(mode: str) -> None:
    shown = drawn(1).convert("RGB")
    if mode == "LAB":
        image = encoded(Image.merge("LAB", [shown.convert("L"), *[Image.new("L", shown.size, 128)] * 2]), "TIFF")
    else:
        image = encoded(shown.convert(mode), "TIFF")
    assert np.abs(seen(image).mean() - np.asarray(shown).mean()) < 25


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_a_deep_picture_that_is_cut_off_is_refused(kind: str, compression: str | None) -> None:
    image = written(np.repeat(GREY, 4, axis=0).astype(kind), photometric="minisblack", compression=compression)
    with pytest.raises(ImageUnreadable) as caught:
        decode(image[: len(image) * 2 // 3])
    assert caught.value.reason in ("truncated", "unreadable")


def test_a_deep_bomb_is_refused_before_it_unfolds() -> None:
    image = written(np.zeros((16, 16), np.uint16), photometric="minisblack")
    side = np.array([60_000], np.uint16).tobytes()
    with tifffile.TiffFile(io.BytesIO(image)) as opened:
        places = [opened.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    for place in places:
        image = image[:place] + side + image[place + 2 :]
    with pytest.raises(ImageUnreadable, match=f"{60_000} × {60_000} pixels; at most {MAX_PIXELS:,}"):
        decode(image)
