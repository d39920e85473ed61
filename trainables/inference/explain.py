"""Grad-CAM: what in a photo led to an answer, and its pictures.

Selvaraju et al., 2017, https://arxiv.org/abs/1610.02391.
Works on a model that `retrain` wrote, with nothing but that file: a backbone inside, then a head.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from trainables.data.images import ImageUnreadable, decode, decode_resized
from trainables.errors import UserError
from trainables.files.output import replacing
from trainables.inference.keras_model import BATCH, Classifier, Guess, problem
from trainables.network.cut import waists

Floats = npt.NDArray[np.float32]

# Along a side of the coarsest map that still shows where. InceptionV3 at 139 px: mixed10 has 3, mixed7 has 7.
FEWEST_CELLS = 5

# From this heat on, the photo is as it was, and a line goes round it: a colour scale would hide the animal.
HALF = 0.5
_DARK = 0.55  # brightness of the cold parts
_LINE = (255, 140, 0)

SIDE = 800  # longest side of each of the two pictures, in pixels
_GAP = 8


class GradCam:
    """Heat maps of a model's decisions.

    `layer` names the backbone's layer that is looked at: the last one whose output every path goes through and that
    has at least `FEWEST_CELLS` cells along a side; `cells` is how many it has.
    """

    def __init__(self, model: Any) -> None:
        """Args: `model` maps pixels [n, size, size, 3] to probabilities [n, classes].

        Raises:
            UserError: the model is not a backbone and a head.
        """
        import keras

        inside = [index for index, layer in enumerate(model.layers) if isinstance(layer, keras.Model)]
        if len(inside) != 1 or not hasattr(model.layers[-1], "kernel"):
            raise UserError("Grad-CAM needs a model that `python -m trainables retrain` wrote: a backbone and a head")
        self._before = model.layers[1 : inside[0]]
        backbone = model.layers[inside[0]]
        self._output = model.layers[-1]
        # Of an ensemble, whose members' heads stand side by side, to the logits of them all.
        self._head = keras.Model(backbone._inbound_nodes[0].output_tensors, self._output.input)
        maps = [each for each in waists(list(backbone.operations)) if _is_map(each)]
        seen = ([each for each in maps if each.output.shape[1] >= FEWEST_CELLS] or maps)[0]
        self.layer, self.cells = str(seen.name), int(seen.output.shape[1])
        self._backbone = keras.Model(backbone.inputs, [seen.output, *backbone.outputs])

    def heat(self, pixels: npt.NDArray[np.uint8], families: Sequence[int]) -> Floats:
        """How much each cell speaks for the family, one label a photo; `pixels` [n, size, size, 3] are RGB 0..255.

        Returns:
            float32 [n, cells, cells], 0..1: 1 is the photo's own strongest cell; all 0 where nothing speaks for it.
        """
        import tensorflow as tf

        inputs = tf.constant(pixels, tf.float32)
        for layer in self._before:
            inputs = layer(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)  # The backbone is frozen: without this nothing would be recorded.
            seen, *features = self._backbone(inputs, training=False)
            features = self._head(features, training=False)
            # The score before softmax, as in the paper: probabilities near 1 have no slope.
            scores = tf.linalg.matmul(features, self._output.kernel) + self._output.bias
            score = tf.reduce_sum(tf.gather(scores, tf.constant(families, tf.int32), axis=1, batch_dims=1))
        weights = tf.reduce_mean(tape.gradient(score, seen), axis=[1, 2], keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * seen, axis=-1)).numpy()
        return np.asarray(heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12), np.float32)


def _is_map(operation: Any) -> bool:
    """Whether it gives feature maps, and one alone: a member of an ensemble that reads several depths gives a list."""
    return not isinstance(operation.output, list) and len(operation.output.shape) == 4


def overlay(photo: Image.Image, heat: npt.NDArray[np.float32]) -> Image.Image:
    """An RGB photo under its heat, in the photo's size.

    `heat` [cells, cells], 0..1, is of the whole photo squeezed to a square, as the network sees it.
    """
    cells = Image.fromarray(np.asarray(heat, np.float32))
    warm = np.asarray(cells.resize(photo.size, Image.Resampling.BICUBIC))
    lit = np.clip(warm / HALF, 0, 1)[..., None]
    cold = _DARK * np.asarray(photo.convert("L"), np.float32)[..., None]
    shown = Image.fromarray((cold + (np.asarray(photo, np.float32) - cold) * lit).round().astype(np.uint8))
    hot = Image.fromarray(np.where(warm >= HALF, 255, 0).astype(np.uint8))
    shown.paste(_LINE, mask=ImageChops.subtract(hot.filter(ImageFilter.MaxFilter(3)), hot))
    return shown


class Explanation(NamedTuple):
    """The picture that was written for a photo, and the family that it is about."""

    photo: Path
    about: Guess
    file: Path


def explain(
    classifier: Classifier, photos: Sequence[Path], family: str | None, out: Path
) -> tuple[GradCam, list[Explanation]]:
    """Write PHOTO_cam.jpg for each photo into `out`, on the evidence for `family` (None: the photo's likeliest).

    Raises:
        UserError: there is no such family, a photo cannot be read, or two would be written as one file; nothing is
            written then.
    """
    names = classifier.labels.class_names
    if family is not None and family not in names:
        raise UserError(f"--family: the model knows no {family!r}; it knows {', '.join(names)}")
    files = [out / f"{photo.stem}_cam.jpg" for photo in photos]
    twice = next((file for file in files if files.count(file) > 1), None)
    if twice is not None:
        raise UserError(f"two of the photos would be written as {twice}; explain them one by one, with --out")
    cam = GradCam(classifier.model)
    pictures = [_decoded(photo, classifier.labels.image_size) for photo in photos]
    written = []
    for first in range(0, len(photos), BATCH):
        rows = range(first, min(first + BATCH, len(photos)))
        pixels = np.stack([pictures[row][1] for row in rows])
        probabilities = classifier.probabilities(pixels)
        about = probabilities.argmax(axis=1) if family is None else np.full(len(rows), names.index(family))
        for row, label, chances, heat in zip(rows, about, probabilities, cam.heat(pixels, about.tolist()), strict=True):
            photo = pictures[row][0]
            both = Image.new("RGB", (2 * photo.width + _GAP, photo.height), "white")
            both.paste(photo, (0, 0))
            both.paste(overlay(photo, heat), (photo.width + _GAP, 0))
            _save(both, files[row])
            written.append(Explanation(photos[row], Guess(names[label], float(chances[label])), files[row]))
    return cam, written


def _save(picture: Image.Image, file: Path) -> None:
    """Write a picture; a file of its name is whole."""
    try:
        with replacing(file) as temporary:
            picture.save(temporary, "JPEG", quality=88)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None


def _decoded(photo: Path, image_size: int) -> tuple[Image.Image, np.ndarray]:
    """A photo to show, and as the model takes it."""
    try:
        encoded = photo.read_bytes()
        picture = decode(encoded)
        picture.thumbnail((SIDE, SIDE))
        return picture, decode_resized(encoded, image_size)
    except (OSError, ImageUnreadable) as error:
        raise UserError(f"{photo} {problem(error)}") from None
