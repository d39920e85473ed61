"""Lay a heat map over a photo: what speaks for the family keeps its colours, the rest turns dark and grey."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

HALF = 0.5
"""From this heat on, the photo is as it was, and a line goes round it: a colour scale would hide the animal."""

_DARK = 0.55
_LINE = (255, 140, 0)


def overlay(photo: Image.Image, heat: npt.NDArray[np.float32]) -> Image.Image:
    """The photo under its heat.

    Args:
        photo: RGB, any size and shape.
        heat: [cells, cells], 0..1, of the whole photo squeezed to a square, as the network sees it.

    Returns:
        A picture of the photo's size.
    """
    cells = Image.fromarray(np.asarray(heat, np.float32))
    warm = np.asarray(cells.resize(photo.size, Image.Resampling.BICUBIC))
    lit = np.clip(warm / HALF, 0, 1)[..., None]
    cold = _DARK * np.asarray(photo.convert("L"), np.float32)[..., None]
    shown = Image.fromarray((cold + (np.asarray(photo, np.float32) - cold) * lit).round().astype(np.uint8))
    hot = Image.fromarray(np.where(warm >= HALF, 255, 0).astype(np.uint8))
    shown.paste(_LINE, mask=ImageChops.subtract(hot.filter(ImageFilter.MaxFilter(3)), hot))
    return shown
