"""The trained network as one plain Keras model: photos in, probabilities out, nothing of ours needed to load it."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.files.experiment import LABELS_FILE, MODEL_FILE
from trainables.files.output import replacing, write_json
from trainables.network.backbones import scaling_layer
from trainables.network.tail import Tail

_METADATA = "metadata.json"  # Keras' own entry in a .keras file, which nothing but people and we read.


class Labels(BaseModel):
    """What a model's numbers mean: the families by label, and the side in pixels of the photos that it takes."""

    model_config = ConfigDict(frozen=True)

    class_names: tuple[str, ...]
    image_size: int
    backbone: str


def whole_model(base: Any, tail: Tail, config: TrialConfig) -> Any:
    """Put backbone, tail and head together again.

    Returns:
        A Keras model from RGB pixels 0..255, [n, size, size, 3], to float32 probabilities [n, classes]. Scaling is
        inside.
    """
    import keras

    backbone = keras.models.clone_model(base)
    backbone.set_weights(base.get_weights())
    for layer in tail.body.layers:
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
    """Write model.keras, its labels inside, and labels.json for readers without Keras."""
    labels = Labels(class_names=class_names, image_size=config.image_size, backbone=config.backbone)
    model.save(folder / MODEL_FILE)
    _put_inside(labels, folder / MODEL_FILE)
    write_json(labels.model_dump(mode="json"), folder / LABELS_FILE)


def read_labels(model: Path) -> Labels:
    """Read the labels in a .keras file, or the labels.json beside one of before they were inside.

    Raises:
        UserError: it is no .keras file, or there are no labels.
    """
    try:
        with zipfile.ZipFile(model) as archive:
            labels = json.loads(archive.read(_METADATA)).get("labels")
        if labels is None:
            labels = json.loads(model.with_name(LABELS_FILE).read_text())
        return Labels.model_validate(labels)
    except FileNotFoundError as error:
        missing = Path(error.filename)
        hint = "MODEL is the folder that `python -m trainables retrain` wrote, or the model.keras in it"
        raise UserError(f"{missing} does not exist; {hint}") from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, ValidationError) as error:
        raise UserError(f"{model} is no model that `retrain` wrote: {' '.join(str(error).split())[:200]}") from None


def _put_inside(labels: Labels, file: Path) -> None:
    """Copy the archive with the labels in its metadata: a fourth entry would make Keras unpack all of it to load it."""
    with replacing(file) as written, zipfile.ZipFile(file) as archive, zipfile.ZipFile(written, "w") as copy:
        for entry in archive.infolist():
            same = zipfile.ZipInfo(entry.filename, entry.date_time)
            with archive.open(entry) as source, copy.open(same, "w", force_zip64=True) as target:
                if entry.filename == _METADATA:
                    metadata = json.load(source) | {"labels": labels.model_dump(mode="json")}
                    target.write(json.dumps(metadata, ensure_ascii=False).encode())
                else:
                    shutil.copyfileobj(source, target, 1 << 20)


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
