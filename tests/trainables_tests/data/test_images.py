import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.data.images import MAX_JPEG_PIXELS, MAX_PIXELS, ImageUnreadable, decode, decode_resized, image_size

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other.convert("RGB"), np.float32)).mean())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JPEG2000"])
def test_common_formats_give_the_same_rgb_picture(kind: str) -> None:
    picture = decode(encoded(drawn(1), kind))
    assert (picture.mode, picture.size) == ("RGB", (96, 72))
    assert difference(picture, drawn(1)) < 12  # a GIF has 256 colours


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera was turned; show it turned 90° clockwise
    image = encoded(drawn(1), "PNG", exif=exif)
    assert image_size(image) == (72, 96)
    assert difference(decode(image), drawn(1).transpose(Image.Transpose.ROTATE_270)) == 0


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_phone_photo_is_upright_once(orientation: int) -> None:
    """HEIC has a turn of its own beside the EXIF's; the bytes of the EXIF alone give an upright photo."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    turned = drawn(1).rotate({1: 0, 3: 180, 6: -90, 8: 90}[orientation], expand=True)
    image = encoded(drawn(1), "HEIF", exif=exif.tobytes(), quality=95)
    assert image_size(image) == turned.size
    assert difference(decode(image), turned) < 6


def test_a_jpeg_in_jpeg_xl_is_upright_once() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    jpeg = encoded(drawn(1), exif=exif)
    image = imagecodecs.jpegxl_encode_jpeg(jpeg, usecontainer=True)
    assert image_size(image) == (72, 96)
    assert difference(decode(image), decode(jpeg)) < 3


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_jpeg_xl_of_every_depth_gives_the_same_picture(kind: str) -> None:
    scale = {"u1": 1.0, "u2": 257.0, "f4": 1 / 255}[kind]
    for channels in (1, 3):
        samples = (np.asarray(drawn(1), np.float64)[:, :, :channels] * scale).astype(kind).squeeze()
        image = bytes(imagecodecs.jpegxl_encode(samples, lossless=True))
        expected = np.asarray(drawn(1), np.int16)[:, :, :channels]
        assert np.abs(np.asarray(decode(image), np.int16) - expected).max() <= 1


def test_a_jpeg_xl_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(ImageUnreadable) as caught:  # 2^20 × 2^20: height by 30 bits, the ratio 1:1.
        decode(b"\xff\x0a" + (0b001 << 33 | (2**20 - 1) << 3 | 0b11 << 1).to_bytes(8, "little") + b"\0" * 40)
    assert caught.value.reason == "too_large"


def test_damaged_exif_does_not_cost_the_photo() -> None:
    image = encoded(drawn(1), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    assert image_size(image) == decode(image).size == (96, 72)


def test_transparency_is_laid_over_white() -> None:
    picture = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    assert decode(encoded(picture, "PNG")).getpixel((3, 3)) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([200, 0, 0] + [0] * 765)
    assert decode(encoded(palette, "PNG", transparency=0)).getpixel((3, 3)) == (255, 255, 255)
    assert decode(encoded(palette, "PNG")).getpixel((3, 3)) == (200, 0, 0)


def test_cmyk_is_converted() -> None:
    red, _, blue = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)))).getpixel((8, 8))  # type: ignore[misc]
    assert red > 240
    assert blue < 15


def test_sixteen_bits_keep_their_greys() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    grey = np.asarray(decode(encoded(Image.fromarray(ramp), "PNG")))[:, :, 0]
    assert np.array_equal(grey.ravel(), np.arange(256))


@pytest.mark.parametrize("bits", [12, 16])
def test_sixteen_bits_keep_their_colours(bits: int) -> None:
    deep = np.round(np.asarray(drawn(1)) / 255 * (2**bits - 1)).astype(np.uint16)
    deep[0, 0] = 2**bits - 1
    image = bytes(imagecodecs.png_encode(deep))
    assert np.abs(np.asarray(decode(image), np.int16)[1:] - np.asarray(drawn(1))[1:]).max() <= 1
    with pytest.raises(ImageUnreadable):
        decode(image[: len(image) * 2 // 3])


def test_an_animation_gives_its_first_frame() -> None:
    stream = io.BytesIO()
    drawn(1).save(stream, "GIF", save_all=True, append_images=[drawn(2), drawn(3)])
    assert difference(decode(stream.getvalue()), drawn(1)) < 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_a_truncated_photo_is_refused_at_every_size(kind: str) -> None:
    image = encoded(drawn(1, (400, 300)), kind)
    for decoded in (decode, lambda data: decode(data, draft=128), lambda data: decode_resized(data, 32)):
        with pytest.raises(ImageUnreadable) as caught:
            decoded(image[: len(image) * 2 // 3])
        assert caught.value.reason in ("truncated", "unreadable")
    if kind in ("JPEG", "PNG"):
        assert caught.value.reason == "truncated"


@pytest.mark.parametrize(
    ("image", "reason"), [(b"", "empty"), (b"<svg></svg>", "unreadable"), (b"\xff\xd8\xff", "unreadable")]
)
def test_what_is_no_picture_says_why(image: bytes, reason: str) -> None:
    with pytest.raises(ImageUnreadable) as caught:
        decode(image)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [9460, 60_000])  # just above our bound; beyond Pillow's own
def test_a_decompression_bomb_is_refused_before_it_unfolds(side: int) -> None:
    assert side * side > MAX_PIXELS
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    with pytest.raises(ImageUnreadable) as caught:
        decode(b"\x89PNG\r\n\x1a\n" + body)
    assert caught.value.reason == "too_large"


def test_forty_megapixels_are_decoded() -> None:
    image = encoded(drawn(1).resize((7300, 5500)))
    assert image_size(image) == (7300, 5500)
    small = Image.fromarray(decode_resized(image, 64))
    assert difference(small, drawn(1).resize((64, 64), Image.Resampling.BILINEAR)) < 4


def test_a_phone_of_108_megapixels_is_read() -> None:
    image = encoded(drawn(1).convert("L").resize((12_000, 9_000)))
    assert image_size(image) == (12_000, 9_000)
    assert MAX_PIXELS < 12_000 * 9_000
    whole = decode(image)  # Scaled while it is decoded, so that it fits.
    assert whole.size == (6_000, 4_500)
    small = Image.fromarray(decode_resized(image, 64))
    expected = drawn(1).convert("L").resize((64, 64), Image.Resampling.BILINEAR).convert("RGB")
    assert difference(small, expected) < 4


def test_a_jpeg_beyond_every_phone_is_refused() -> None:
    image = encoded(Image.new("L", (16, 16)))
    place = image.index(b"\xff\xc0") + 5
    image = image[:place] + struct.pack(">HH", 60_000, 60_000) + image[place + 4 :]
    with pytest.raises(ImageUnreadable, match=f"at most {MAX_JPEG_PIXELS:,} are read"):
        decode(image)


def test_resized_pixels_are_uint8_square_and_repeatable() -> None:
    image = encoded(drawn(1))
    pixels = decode_resized(image, 40)
    assert (pixels.shape, pixels.dtype) == ((40, 40, 3), np.uint8)
    assert np.array_equal(pixels, decode_resized(image, 40))


def test_the_shortcut_for_big_jpegs_looks_like_the_long_way() -> None:
    image = encoded(drawn(1, (1600, 1200)), quality=95)
    long_way = decode(image).resize((139, 139), Image.Resampling.BILINEAR)
    assert difference(Image.fromarray(decode_resized(image, 139)), long_way) < 1.0
