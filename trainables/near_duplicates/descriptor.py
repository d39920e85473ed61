"""Image descriptors of 1.3 KB, compared in place of pixels."""

from functools import cache
from typing import NamedTuple

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

THUMBNAIL_SIDE = 16
RINGS = 16
ANGLES = 64
RING_RADII = np.linspace(2, 30, RINGS)
"""Radii of the rings in 64ths of the picture's side, about its centre."""

_SIDE = 64
_FINE = 128


class ImageDescriptor(NamedTuple):
    """A picture's 64-bit perceptual hash, its grey thumbnail, and its grey values on rings.

    `thumbnail` is uint8 [THUMBNAIL_SIDE, THUMBNAIL_SIDE], row by row; `rings` is uint8 [RINGS, ANGLES]: to turn the
    picture is to roll a ring, to mirror it is to reverse one.
    """

    perceptual_hash: int
    thumbnail: bytes
    rings: bytes


def describe(picture: Image.Image) -> ImageDescriptor:
    """Describe a picture of any size; its aspect is not kept, as a copy's may have been lost."""
    grey = picture.convert("L")
    bits = np.asarray(imagehash.phash(grey).hash, dtype=bool).ravel()
    thumbnail = grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    square = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float32)
    # Rings are sampled twice as finely as they are kept, then the upper half of the spectrum is dropped: no aliasing.
    at, weights = _sampling()
    fine = (square.ravel()[at] * weights).sum(axis=0)
    spectrum = np.fft.rfft(fine, axis=1)[:, : ANGLES // 2 + 1] * (ANGLES / _FINE)
    rings = np.clip(np.fft.irfft(spectrum, n=ANGLES, axis=1).round(), 0, 255).astype(np.uint8)
    return ImageDescriptor(int.from_bytes(np.packbits(bits).tobytes(), "big"), thumbnail.tobytes(), rings.tobytes())


@cache
def _sampling() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Pixels [4, RINGS, _FINE] and bilinear weights of the points on the rings."""
    angles = np.arange(_FINE) * (2 * np.pi / _FINE)
    centre = (_SIDE - 1) / 2
    x = centre + RING_RADII[:, None] * np.cos(angles)
    y = centre + RING_RADII[:, None] * np.sin(angles)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, down = x - left, y - top
    at = np.stack([top * _SIDE + left, top * _SIDE + left + 1, (top + 1) * _SIDE + left, (top + 1) * _SIDE + left + 1])
    weights = np.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down])
    return at, weights.astype(np.float32)
