"""Building of backbones: starting weights, image size, pixel scaling."""

import hashlib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.network.backbone_table import BACKBONES
from trainables.network.cut import Cut, find_cut
from trainables.network.head import head_depths
from trainables.network.weight_files import misfit

WEIGHT_KINDS = ("auto", "imagenet", "random")


@dataclass(frozen=True)
class Weights:
    """Which weights a backbone starts from.

    `kind` is "imagenet" (Keras' own), "random" or "file"; `fingerprint` stands for the values (of a file: its SHA-256);
    `warning` is a sentence that every report repeats, or None.
    """

    kind: str
    detail: str
    fingerprint: str
    warning: str | None = None


def check_weights(backbone: str, spec: str) -> None:
    """Refuse a weights setting that cannot work, without loading Keras.

    Raises:
        UserError: `spec` is neither a kind nor an existing file, or the file is known not to fit the backbone.
    """
    if spec in WEIGHT_KINDS:
        return
    if not Path(spec).is_file():
        raise UserError(f"weights: there is no file {spec!r}; give a .weights.h5 or .h5 file, or one of {WEIGHT_KINDS}")
    why = None if from_scratch(backbone) else misfit(Path(spec), backbone)
    if why is not None:
        wanted = f"a .weights.h5 or .h5 file of {backbone} without top is needed"
        raise UserError(f"weights: {spec} {why}; {wanted}")


def resolve_weights(backbone: str, spec: str) -> Weights:
    """Decide which weights `spec` means on this machine; "imagenet" is downloaded into Keras' cache when not there.

    Raises:
        UserError: `spec` is "imagenet" and the weights are neither cached nor can be downloaded, there is no file, or
            it does not fit.
    """
    check_weights(backbone, spec)
    application = BACKBONES[backbone].application
    if spec not in WEIGHT_KINDS:
        return Weights("file", str(Path(spec).resolve()), hashlib.sha256(Path(spec).read_bytes()).hexdigest())
    random = Weights("random", "drawn from the trial's seed", "random")
    if application is None:
        return random
    if spec == "random":
        return replace(random, warning=f"{backbone} starts from random weights, as asked")
    import keras

    try:
        getattr(keras.applications, application)(weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        if spec == "imagenet":
            raise UserError(
                f"weights: imagenet for {backbone} is not in Keras' cache and cannot be downloaded: "
                f"{' '.join(str(error).split())}"
            ) from None
        warning = (
            f"ImageNet weights for {backbone} are neither in Keras' cache nor can be downloaded: "
            "training starts from random weights, and scores will be far lower"
        )
        return replace(random, warning=warning)
    return Weights("imagenet", f"keras.applications.{application}", f"imagenet-{application}")


def from_scratch(backbone: str) -> bool:
    """Whether no pretrained weights exist for this backbone, so that all of it has to be trained."""
    return BACKBONES[backbone].application is None


def cut_backbone(base: Any, config: TrialConfig, unfrozen_layers: int) -> Cut:
    """Find the cut of a configuration; a backbone without weights to keep trains whole, BatchNorm included."""
    whole = from_scratch(config.backbone)
    layers = len(base.layers) if whole else unfrozen_layers
    return find_cut(base, layers, batch_norm=whole, depths=head_depths(base, config))


def build_backbone(backbone: str, image_size: int, weights: Weights, seed: int) -> Any:
    """Build the convolutional base without top.

    Returns:
        A functional Keras model from scaled pixels, float32 [n, size, size, 3], to features [n, h, w, channels].

    Raises:
        UserError: the image size is too small for this backbone, or the file's weights do not fit it.
    """
    import keras

    kind = BACKBONES[backbone]
    check_image_size(backbone, image_size)
    shape = (image_size, image_size, 3)
    keras.utils.set_random_seed(seed)  # Random weights must be the same in every worker of a sweep.
    if kind.application is None:
        return _simple_cnn(shape)
    source = {"imagenet": "imagenet", "random": None, "file": weights.detail}[weights.kind]
    try:
        with warnings.catch_warnings():
            # Keras only warns when a file lacks a layer, and leaves that layer random.
            warnings.simplefilter("error", UserWarning)
            build = getattr(keras.applications, kind.application)
            return build(weights=source, include_top=False, input_shape=shape)
    except (ValueError, OSError, UserWarning) as error:
        if weights.kind != "file":
            raise
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"weights: {weights.detail} does not fit {backbone} without top: {reason}") from None


def calibrate_batch_norm(base: Any, scaled: Any, seed: int) -> None:
    """Set the BatchNorm statistics of a random backbone to those of some photos; equal photos and seed give the same.

    Frozen at their initial 0 and 1 they would let the features of a deep random network shrink to nothing, the same for
    every photo (1e-5 between photos for InceptionV3), and no head could learn from them. `scaled` is float32 [n, size,
    size, 3] from `scale_pixels`.
    """
    import keras
    import tensorflow as tf

    layers = [layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    keras.utils.set_random_seed(seed)
    # As a graph, which frees each layer's outputs when the next ones have them: eagerly, all stay (9 GB of 64 photos).
    tf.function(lambda photos: base(photos, training=True))(scaled)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def check_image_size(backbone: str, image_size: int) -> None:
    """Refuse an image size that the backbone's strides would shrink to nothing.

    Raises:
        UserError: `image_size` is below the backbone's smallest.
    """
    smallest = BACKBONES[backbone].smallest_size
    if image_size < smallest:
        raise UserError(f"image_size: {backbone} needs at least {smallest} pixels, not {image_size}")


def scale_pixels(backbone: str, photos: Any) -> Any:
    """Turn pixels in 0..255, [n, size, size, 3], into what the backbone's weights expect."""
    import tensorflow as tf

    scaling = BACKBONES[backbone].scaling
    return tf.cast(photos, tf.float32) * tf.constant(scaling.scale) + tf.constant(scaling.offset)


def scaling_layer(backbone: str) -> Any:
    """The same as `scale_pixels`, as a Keras layer that is saved with a model."""
    import keras

    scaling = BACKBONES[backbone].scaling
    return keras.layers.Rescaling(list(scaling.scale), list(scaling.offset), name="scale_pixels")


def _simple_cnn(shape: tuple[int, int, int]) -> Any:
    """The reference study's first baseline: two blocks of convolution, batch norm, ReLU and max pooling."""
    import keras

    inputs = outputs = keras.Input(shape)
    for filters in (32, 64):
        outputs = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(outputs)
        outputs = keras.layers.BatchNormalization()(outputs)
        outputs = keras.layers.ReLU()(outputs)
        outputs = keras.layers.MaxPooling2D()(outputs)
    return keras.Model(inputs, outputs, name="simple_cnn")
