"""TIFF of microscopes and scanners: deep samples, planes as channels, ImageJ and OME stacks."""

import io
import logging
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from trainables.data.pictures.samples import UnsupportedSamples, picture, to_bytes

# What it would log (an odd tag, a stack cut short) is either of no matter or an error below.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_ORIENTATION, _LARGEST_SAMPLE = 274, 281
_GREY, _REVERSED, _RGB, _PALETTE, _INK = 1, 0, 2, 3, 5  # PhotometricInterpretation
_TRANSPARENT = (1, 2)  # ExtraSamples
_NAMES = {6: "YCbCr", 8: "CIELab", 32844: "LogL", 32845: "LogLuv", 32803: "a camera's filter array"}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_tiff(image: bytes) -> tifffile.TiffFile:
    """The file's structure; no pixel is read.

    Raises:
        Exception: of a dozen types; it is no TIFF, or damaged.
    """
    return tifffile.TiffFile(io.BytesIO(image), _multifile=False)


def stored_size(tiff: tifffile.TiffFile) -> tuple[int, int]:
    """Width and height of the first page in pixels, as stored."""
    page = _first(tiff)
    return int(page.imagewidth), int(page.imagelength)


def is_turned(tiff: tifffile.TiffFile) -> bool:
    """Whether the first page is shown on its side: its width is stored as its height."""
    return _orientation(_first(tiff)) in (5, 6, 7, 8)


def needs_rules(tiff: tifffile.TiffFile) -> bool:
    """Whether it has what Pillow reads wrongly or in part: samples of more than 8 bits, or channels in planes."""
    page = _first(tiff)
    unsigned = page.sampleformat in (1, 4)  # 4: not said.
    return bool(_bits(page) > 8 or not unsigned or _planes(tiff) > 1)


def read_tiff(tiff: tifffile.TiffFile) -> Image.Image:
    """The first picture as RGB, upright; the channels of an ImageJ or OME file together, of its first plane and time.

    Raises:
        UnsupportedSamples: there is no rule for its channels, colours or samples.
        Exception: of a dozen types; the file is damaged or cut off.
    """
    page = _first(tiff)
    photometric = int(page.photometric)
    if photometric not in (_GREY, _REVERSED, _RGB, _PALETTE, _INK):
        name = _NAMES.get(photometric, f"photometric {photometric}")
        raise UnsupportedSamples(f"TIFF of {name} with {_bits(page)} bits a sample; save it as RGB")
    planes = _planes(tiff)
    channels = planes if planes > 1 else int(page.samplesperpixel)
    alpha = planes == 1 and channels in (2, 4) and page.extrasamples[-1:] and page.extrasamples[-1] in _TRANSPARENT
    if photometric == _RGB and planes == 1:
        channels = 3 + bool(alpha)  # An extra sample that is no transparency (infrared, say) is not seen.
    most = 4 if alpha or photometric == _INK else 3
    if channels > most or (planes > 1 and page.samplesperpixel > 1):
        many = f"{planes} planes of {page.samplesperpixel}" if planes > 1 else str(channels)
        raise UnsupportedSamples(f"TIFF of {many} channels; 1, 2 or 3 are read: save the channels to be seen as RGB")
    samples = (_channel_planes(tiff, planes) if planes > 1 else _pixels(page))[:, :, :channels]
    if photometric == _PALETTE:
        samples = np.moveaxis(page.colormap, 0, -1)[samples[:, :, 0]]
    shown = to_bytes(samples, _declared_bits(tiff))
    if photometric == _REVERSED:
        shown = 255 - shown
    if photometric == _INK:
        found = Image.fromarray(np.ascontiguousarray(shown), mode="CMYK").convert("RGB")
    else:
        found = picture(shown, bool(alpha))
    turn = TURNS.get(_orientation(page))
    return found if turn is None else found.transpose(turn)


def _first(tiff: tifffile.TiffFile) -> Any:
    return tiff.pages[0]


def _orientation(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None else 1


def _bits(page: Any) -> int:
    bits = page.bitspersample
    return int(max(bits) if isinstance(bits, tuple) else bits)


def _declared_bits(tiff: tifffile.TiffFile) -> int | None:
    """Bits of a sample that the file says it uses; None where it says nothing beyond the size of its numbers."""
    page = _first(tiff)
    if _bits(page) not in (8, 16, 32, 64):
        return _bits(page)
    if tiff.is_ome and (found := re.search(r'SignificantBits="(\d+)"', tiff.ome_metadata or "")):
        return int(found[1])
    tag = page.tags.get(_LARGEST_SAMPLE)
    largest = int(np.max(tag.value)) if tag is not None else 0
    return largest.bit_length() if largest > 255 else None


def _planes(tiff: tifffile.TiffFile) -> int:
    """Channels that are planes of their own, as ImageJ, OME and microscopes write them; 1 where there are none."""
    if tiff.flags <= {"uniform", "bigtiff"}:
        return 1
    series = tiff.series[0]
    leading = series.axes[: -len(_first(tiff).axes)]
    return int(series.shape[leading.index("C")]) if "C" in leading else 1


def _channel_planes(tiff: tifffile.TiffFile, planes: int) -> npt.NDArray[Any]:
    """[height, width, channels] of the first plane and time of a stack."""
    series, page = tiff.series[0], _first(tiff)
    leading = series.axes[: -len(page.axes)]
    wanted = tuple(slice(None) if axis == "C" else 0 for axis in leading)
    if series.dataoffset is not None:  # In one piece, as it lies in the file: ImageJ may have one page for all.
        return np.moveaxis(series.asarray()[wanted], 0, -1)
    numbers = np.arange(int(np.prod(series.shape[: len(leading)]))).reshape(series.shape[: len(leading)])[wanted]
    return np.stack([_pixels(series.pages[int(number)])[:, :, 0] for number in numbers], axis=-1)


def _pixels(page: Any) -> npt.NDArray[Any]:
    """[height, width, samples] of one page."""
    if page.axes not in ("YX", "YXS", "SYX"):
        raise UnsupportedSamples(f"TIFF with the axes {page.axes}; a flat picture is read")
    samples: npt.NDArray[Any] = page.asarray()
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    return samples if samples.ndim == 3 else samples[:, :, None]
