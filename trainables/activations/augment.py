"""Stateless augmentation, a function of (seed, photo, view) alone.

The parameters are drawn in numpy from a hash of the three, so a view of a photo is the same picture in every trial, in
every process and in every batch order. This is what lets all trials of a sweep share stored activations.
The ranges follow the reference study (flips, rotation 20°, zoom 10 %, brightness and contrast 20 %), their meaning
Keras' `RandomFlip`, `RandomRotation`, `RandomZoom`, `RandomBrightness` and `RandomContrast`.

To change the augmentation, change this module, and `config.Augmentation` where a range is new. What was stored before
stays valid only where the ranges differ: delete the store after a change of the arithmetic.
"""

import hashlib
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.config import Augmentation, TrialConfig

PARAMETERS = 10


def augmented(photos: Any, photo_ids: Sequence[str], view: int, config: TrialConfig) -> Any:
    """Return one view of `photos`, uint8 [n, size, size, 3]: a float32 tensor of the same shape in 0..255."""
    return _compiled()(photos, draw_parameters(photo_ids, view, config.sweep_seed, config.augmentation))


@cache
def _compiled() -> Any:
    """`augment`, traced once per process."""
    import tensorflow as tf

    shapes = (tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([None, PARAMETERS], tf.float32))
    return tf.function(augment, input_signature=shapes)


def draw_parameters(photo_ids: Sequence[str], view: int, seed: int, ranges: Augmentation) -> npt.NDArray[np.float32]:
    """Draw what to do to each photo.

    Returns:
        float32 [n, 10]: eight coefficients of the projective transform that maps output to input positions (for a
        picture whose side is 1, centred at 0), then the brightness shift in 0..255 units, then the contrast factor.
    """
    parameters = []
    for photo_id in photo_ids:
        # Six numbers in [0, 1); a hash is the same in every library version.
        digest = hashlib.blake2b(f"{seed}\0{view}\0{photo_id}".encode(), digest_size=24).digest()
        flip_x, flip_y, *signed = np.frombuffer(digest, dtype=">u4").astype(np.float64) / 2**32
        angle, zoom, brightness, contrast = (2 * value - 1 for value in signed)
        angle = math.radians(ranges.rotation) * angle
        scale = 1 + ranges.zoom * zoom
        mirror_x = -1.0 if ranges.horizontal_flip and flip_x < 0.5 else 1.0
        mirror_y = -1.0 if ranges.vertical_flip and flip_y < 0.5 else 1.0
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        transform = [mirror_x * cos, -mirror_x * sin, 0, mirror_y * sin, mirror_y * cos, 0, 0, 0]
        parameters.append([*transform, 255 * ranges.brightness * brightness, 1 + ranges.contrast * contrast])
    return np.array(parameters, np.float32).reshape(-1, PARAMETERS)


def augment(photos: Any, parameters: Any) -> Any:
    """Apply drawn parameters to a batch of photos.

    Args:
        photos: [n, size, size, 3], values 0..255, uint8 or float.
        parameters: float32 [n, 10] from `draw_parameters`.

    Returns:
        float32 tensor [n, size, size, 3], clipped to 0..255; what a rotation uncovers is filled by reflection.
    """
    import tensorflow as tf

    photos = tf.cast(photos, tf.float32)
    a, b, _, c, d, *_ = tf.unstack(parameters[:, :8], axis=1)
    # The transforms turn about 0; the picture's centre, in pixels, has to stay where it is.
    centre = (tf.cast(tf.shape(photos)[1], tf.float32) - 1) / 2
    zeros = tf.zeros_like(a)
    transforms = tf.stack([a, b, centre * (1 - a - b), c, d, centre * (1 - c - d), zeros, zeros], axis=1)
    photos = tf.raw_ops.ImageProjectiveTransformV3(
        images=photos,
        transforms=transforms,
        output_shape=tf.shape(photos)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    brightness, contrast = parameters[:, 8, None, None, None], parameters[:, 9, None, None, None]
    photos = tf.clip_by_value(photos + brightness, 0.0, 255.0)
    mean = tf.reduce_mean(photos, axis=[1, 2], keepdims=True)
    return tf.clip_by_value((photos - mean) * contrast + mean, 0.0, 255.0)
