"""Lay a heat map over a photo: what speaks for the family stays in colour and glows, the rest fades to grey."""

import numpy as np
import numpy.typing as npt
from PIL import Image

# Yellow through orange to dark red: rises evenly in darkness, so that it reads without colour vision and in print too.
_RAMP = np.array([[255, 245, 150], [254, 178, 60], [240, 90, 30], [150, 0, 30]], np.float32)
_GLOW = 0.55  # opacity of the strongest heat; the photo must stay visible under it


def overlay(photo: Image.Image, heat: npt.NDArray[np.float32]) -> Image.Image:
    """The photo under its heat.

    Args:
        photo: RGB, any size and shape.
        heat: [cells, cells], 0..1, of the whole photo squeezed to a square, as the network sees it.

    Returns:
        A picture of the photo's size.
    """
    cells = Image.fromarray(np.asarray(heat, np.float32))
    warm = np.asarray(cells.resize(photo.size, Image.Resampling.BICUBIC)).clip(0, 1)[..., None]
    colour = np.asarray(photo, np.float32)
    grey = np.asarray(photo.convert("L"), np.float32)[..., None]
    under = grey + (colour - grey) * np.minimum(1, 2 * warm)
    position = warm[..., 0] * (len(_RAMP) - 1)
    glow = np.stack([np.interp(position, range(len(_RAMP)), channel) for channel in _RAMP.T], axis=-1)
    mixed = under + (glow - under) * (_GLOW * warm)
    return Image.fromarray(mixed.round().astype(np.uint8))
