"""The trained network as one plain Keras model: photos in, probabilities out, nothing of ours needed to load it."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.backbones import scaling_layer
from trainables.config import TrialConfig
from trainables.handoff import write_json
from trainables.tail import Tail

MODEL_FILE = "model.keras"
LABELS_FILE = "labels.json"


def whole_model(base: Any, tail: Tail, config: TrialConfig) -> Any:
    """Put backbone, tail and head together again.

    Returns:
        A Keras model from RGB pixels 0..255, [n, size, size, 3], to float32 probabilities [n, classes]. Scaling is
        inside.
    """
    import keras

    backbone = keras.models.clone_model(base)
    backbone.set_weights(base.get_weights())
    for layer in tail.body.layers if tail.body is not None else ():
        if layer.weights:
            backbone.get_layer(layer.name).set_weights(layer.get_weights())
    backbone.trainable = False
    pixels = keras.Input((config.image_size, config.image_size, 3), name="pixels")
    features = keras.layers.GlobalAveragePooling2D()(backbone(scaling_layer(config.backbone)(pixels), training=False))
    hidden = keras.layers.Dense(
        config.dense_units, activation="relu", kernel_regularizer=keras.regularizers.L2(config.l2), name="hidden"
    )
    output = keras.layers.Dense(tail.output.units, activation="softmax", name="probabilities")
    features = hidden(keras.layers.Dropout(config.dropout)(features))
    model = keras.Model(pixels, output(keras.layers.Dropout(config.dropout)(features)), name="raretune")
    hidden.set_weights(tail.hidden.get_weights())
    output.set_weights(tail.output.get_weights())
    return model


def save_model(model: Any, class_names: tuple[str, ...], config: TrialConfig, folder: Path) -> None:
    """Write model.keras and labels.json, what `python -m trainables predict` needs."""
    model.save(folder / MODEL_FILE)
    labels = {"class_names": list(class_names), "image_size": config.image_size, "backbone": config.backbone}
    write_json(labels, folder / LABELS_FILE)


def check_same(
    model: Any, pixels: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.float32], tolerance: float = 1e-3
) -> None:
    """Hold the exported model against the trained one on some photos.

    Args:
        pixels: uint8 [n, size, size, 3].
        probabilities: float32 [n, classes], the trained network's.

    Raises:
        RuntimeError: they differ by more than `tolerance`, so the export must not be used.
    """
    difference = float(np.abs(model.predict(pixels, verbose=0) - probabilities).max())
    if difference > tolerance:
        raise RuntimeError(f"the exported model's probabilities differ from the trained network's by {difference:.2g}")
