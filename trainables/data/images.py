"""Decoding of photos, the same for training, checking and prediction."""

import io
import warnings
from contextlib import suppress

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from trainables.errors import message_of

MAX_PIXELS = 89_478_485
"""Largest picture that is opened, in pixels: Pillow's own bound against decompression bombs (40 megapixels fit)."""

# What Pillow warns about (odd EXIF, too many pixels) either does not matter here or is refused; its warnings would be
# stray lines among thousands of photos.
warnings.filterwarnings("ignore", module=r"PIL\.")

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".mpo", ".ppm"}
)
"""Endings of a photo's name, lower case; the bytes decide what the file is."""


class ImageUnreadable(Exception):
    """These bytes give no picture; `reason` is "empty", "truncated", "too_large" or "unreadable"."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(image: bytes, draft: int | None = None) -> Image.Image:
    """The picture as RGB, first frame, turned the way its EXIF orientation says.

    Transparency is laid over white, 16-bit samples are scaled to 8 bits, CMYK and palettes are converted. With `draft`,
    a JPEG may come smaller, each side not below `draft` pixels; every byte is read, so a truncated one is seen.

    Raises:
        ImageUnreadable: no bytes, not an image, truncated, or more than `MAX_PIXELS`.
    """
    # Pillow's decoders raise a dozen exception types on damaged bytes (OSError, SyntaxError, struct.error, IndexError
    # …); all of them mean the same to us.
    try:
        with _open(image) as picture:
            if draft is not None and picture.format in ("JPEG", "MPO"):
                # A big JPEG is scaled while it is decoded, to the smallest step not below the wanted size: 2.3 times as
                # fast at 1,200 px, and within 0.7 grey levels of the long way (Keras' own bilinear step: 2).
                picture.draft(None, (draft, draft))
            picture.load()
            return _rgb(_upright(picture))
    except ImageUnreadable:
        raise
    except Exception as error:
        detail = message_of(error)
        cut = isinstance(error, EOFError) or any(word in detail for word in ("truncated", "broken data stream"))
        raise ImageUnreadable("truncated" if cut else "unreadable", detail) from None


def decode_resized(image: bytes, size: int) -> npt.NDArray[np.uint8]:
    """The picture as uint8 [size, size, 3], RGB, bilinear; the aspect is not kept, as in the reference study.

    Raises:
        ImageUnreadable: no bytes, not an image, truncated, or more than `MAX_PIXELS`.
    """
    picture = decode(image, draft=size).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def image_size(image: bytes) -> tuple[int, int]:
    """Width and height in pixels as shown (after the EXIF turn), read from the header alone.

    Raises:
        ImageUnreadable: no bytes, not an image, or more than `MAX_PIXELS`; a truncated picture may pass.
    """
    with _open(image) as picture:
        width, height = picture.size
        return (height, width) if _orientation(picture) in (5, 6, 7, 8) else (width, height)


def _open(image: bytes) -> Image.Image:
    if not image:
        raise ImageUnreadable("empty", "the file has no bytes")
    try:
        picture = Image.open(io.BytesIO(image))
    except Image.DecompressionBombError as error:
        raise ImageUnreadable("too_large", message_of(error)) from None
    except UnidentifiedImageError:
        raise ImageUnreadable("unreadable", "not an image format that Pillow knows") from None
    except Exception as error:
        raise ImageUnreadable("unreadable", message_of(error)) from None
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise ImageUnreadable("too_large", f"{width} × {height} pixels; at most {MAX_PIXELS} are opened")
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    try:
        # Pillow would copy the pixels of an upright picture too, and most are.
        return ImageOps.exif_transpose(picture) if _orientation(picture) != 1 else picture
    except Exception:
        # Damaged EXIF says nothing about the pixels: cameras write it badly more often than they write bad pictures.
        return picture


def _orientation(picture: Image.Image) -> int:
    with suppress(Exception):  # Damaged EXIF, as above.
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I") or picture.mode == "F":
        # Grey samples of 16 or 32 bits to 8: floats up to 1 and integers up to 255 keep their meaning.
        samples = np.asarray(picture)
        values = np.nan_to_num(samples.astype(np.float64))
        top = float(values.max(initial=0))
        if samples.dtype.kind == "f":
            full = 1.0 if top <= 1 else 255.0
        else:
            full = 65535.0 if samples.dtype.itemsize == 2 or top > 255 else 255.0
        grey = np.clip(values * (255 / full), 0, 255).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")
