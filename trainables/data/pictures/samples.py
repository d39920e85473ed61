"""Samples of any depth and number of channels to 8-bit RGB, by one rule for each."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Samples = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

RULES = 1
"""Raised when a rule below changes: pixels that are stored are computed anew then."""

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that samples of 16 bits or more may really have; the smallest that holds the brightest sample is taken."""


class UnsupportedSamples(ValueError):
    """No rule says what these samples look like."""


def to_bytes(samples: Samples, bits: int | None = None) -> Bytes:
    """Scale samples of any type to 0..255, all channels alike; of a declared depth (`bits`) by that.

    - Unsigned integers keep their share of the full scale: of `bits`, or of the smallest of `DEPTHS` that holds the
      brightest. Beyond 16 bits they are stretched from the lowest to the highest.
    - Signed integers without negative values are as unsigned ones; with them they are stretched.
    - Floats within 0..1 are shares of white, within 0..255 grey levels; others are stretched. NaN is as the lowest.

    Raises:
        UnsupportedSamples: complex numbers, or something else that is neither integer nor float.
    """
    kind = samples.dtype.kind
    if kind == "b":
        return samples.astype(np.uint8) * np.uint8(255)
    if kind not in "uif":
        raise UnsupportedSamples(f"samples of the type {samples.dtype}; integers and floats are read")
    if kind == "f":
        known = samples[np.isfinite(samples)].astype(np.float64)
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        samples = np.nan_to_num(samples, nan=low, posinf=high, neginf=low)
        full = 1.0 if high <= 1 else 255.0
        return _line(samples, 0.0, full) if low >= 0 and high <= 255 else _line(samples, low, high)
    if samples.dtype == np.uint8 and bits in (None, 8):
        return np.asarray(samples)
    low, high = (int(samples.min()), int(samples.max())) if samples.size else (0, 0)
    depth = bits if bits is not None and high < 2**bits else next((each for each in DEPTHS if high < 2**each), None)
    if low < 0 or depth is None:
        return _line(samples, low, high)
    return _line(samples, 0, 2**depth - 1)


def _line(samples: Samples, low: float, high: float) -> Bytes:
    """`low` to 0, `high` to 255; for 16 bits by a table, which takes a tenth of the time and memory."""
    scale = 255 / (high - low) if high > low else 0.0
    if samples.dtype.kind in "ui" and samples.dtype.itemsize <= 2:
        first, last = np.iinfo(samples.dtype).min, np.iinfo(samples.dtype).max
        values = np.arange(first, last + 1, dtype=np.float64)
        table = np.clip((values - low) * scale, 0, 255).round().astype(np.uint8)
        return np.asarray(table[samples.astype(np.int32) - first])
    return np.asarray(np.clip((samples.astype(np.float64) - low) * scale, 0, 255).round().astype(np.uint8))


def picture(samples: Bytes, alpha: bool = False) -> Image.Image:
    """Samples uint8 [height, width] or [height, width, channels] as an RGB picture; `alpha`: the last is transparency.

    One channel is grey, two are red and green, three are RGB; transparency is laid over white.

    Raises:
        UnsupportedSamples: more channels than that.
    """
    samples = samples[:, :, None] if samples.ndim == 2 else samples
    colours, over = (samples[:, :, :-1], samples[:, :, -1:]) if alpha else (samples, None)
    count = colours.shape[2]
    if count == 1:
        colours = np.repeat(colours, 3, axis=2)
    elif count == 2:
        colours = np.concatenate([colours, np.zeros_like(colours[:, :, :1])], axis=2)
    elif count != 3:
        raise UnsupportedSamples(f"{count} channels; 1, 2 or 3 are read: save the channels to be seen as RGB")
    if over is None:
        return Image.fromarray(np.ascontiguousarray(colours))
    whole = Image.fromarray(np.concatenate([colours, over], axis=2))
    return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
