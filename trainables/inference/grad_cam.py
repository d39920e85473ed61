"""Grad-CAM heat maps of a model, and their overlay on a photo.

Selvaraju et al., 2017, https://arxiv.org/abs/1610.02391.
Works on a model that `retrain` wrote, with nothing but that file: a backbone inside, and a head of layers in a row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from trainables.errors import UserError
from trainables.network.cut import waists

Floats = npt.NDArray[np.float32]

FEWEST_CELLS = 5
"""Cells along a side of the coarsest map that still shows where. InceptionV3 at 139 px: mixed10 has 3, mixed7 has 7."""

HALF = 0.5
"""From this heat on, the photo is as it was, and a line goes round it: a colour scale would hide the animal."""
_DARK = 0.55  # brightness of the cold parts
_LINE = (255, 140, 0)


class GradCam:
    """Heat maps of a model's decisions.

    `layer` names the backbone's layer that is looked at: the last one whose output every path goes through and that
    has at least `FEWEST_CELLS` cells along a side; `cells` is how many it has.
    """

    def __init__(self, model: Any) -> None:
        """Args: `model` maps pixels [n, size, size, 3] to probabilities [n, classes].

        Raises:
            UserError: the model is not a backbone and a head in a row.
        """
        import keras

        inside = [index for index, layer in enumerate(model.layers) if isinstance(layer, keras.Model)]
        if len(inside) != 1 or not hasattr(model.layers[-1], "kernel"):
            raise UserError("Grad-CAM needs a model that `python -m trainables retrain` wrote: a backbone and a head")
        self._before = model.layers[1 : inside[0]]
        backbone = model.layers[inside[0]]
        *self._head, self._output = model.layers[inside[0] + 1 :]
        maps = [each for each in waists(list(backbone.operations)) if len(each.output.shape) == 4]
        seen = ([each for each in maps if each.output.shape[1] >= FEWEST_CELLS] or maps)[0]
        self.layer, self.cells = str(seen.name), int(seen.output.shape[1])
        self._backbone = keras.Model(backbone.inputs, [seen.output, backbone.output])

    def heat(self, pixels: npt.NDArray[np.uint8], families: Sequence[int]) -> Floats:
        """How much each cell speaks for a family, given for each photo.

        Args:
            pixels: [n, size, size, 3], RGB 0..255.
            families: the label that each photo is asked about.

        Returns:
            float32 [n, cells, cells], 0..1: 1 is the photo's own strongest cell; all 0 where nothing speaks for it.
        """
        import tensorflow as tf

        inputs = tf.constant(pixels, tf.float32)
        for layer in self._before:
            inputs = layer(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)  # The backbone is frozen: without this nothing would be recorded.
            seen, features = self._backbone(inputs, training=False)
            for layer in self._head:
                features = layer(features, training=False) if layer.name.startswith("dropout") else layer(features)
            # The score before softmax, as in the paper: probabilities near 1 have no slope.
            scores = tf.linalg.matmul(features, self._output.kernel) + self._output.bias
            score = tf.reduce_sum(tf.gather(scores, tf.constant(families, tf.int32), axis=1, batch_dims=1))
        weights = tf.reduce_mean(tape.gradient(score, seen), axis=[1, 2], keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * seen, axis=-1)).numpy()
        return np.asarray(heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12), np.float32)


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
