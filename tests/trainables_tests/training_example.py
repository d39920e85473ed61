"""A small prepared dataset and a worker on it, for tests of training."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainables.config import TrialConfig
from trainables.data.dataset import Dataset, open_dataset
from trainables.data.ledger import READINGS
from trainables.data.prepare import PrepareOptions, prepare
from trainables.handoff import Handoff
from trainables.network.backbones import Weights, build_backbone
from trainables.training.worker import Worker

FAMILIES = {"bright_disc": 40, "dark_bar": 30, "grey_noise": 16, "red_square": 12}

# The smallest backbone with frozen and trainable layers; it trains in seconds.
SMALL = TrialConfig(
    backbone="mobilenet_v2",
    weights="random",
    image_size=32,
    unfrozen_layers=10,
    dense_units=16,
    batch_size=16,
    epochs=4,
    learning_rate=3e-3,
    augment_views=2,
)

# Learns the drawn families well in seconds: its random features tell them apart.
LEARNS = SMALL.model_copy(update={"backbone": "densenet121", "unfrozen_layers": 0, "learning_rate": 1e-2})


def make_dataset(folder: Path, **options: Any) -> Dataset:
    """Draw four families of simple pictures and prepare them; `options` are further ones of `prepare`."""
    generator = np.random.default_rng(0)
    for family, count in FAMILIES.items():
        (folder / "photos" / family).mkdir(parents=True)
        for number in range(count):
            picture = Image.fromarray(_draw(family, generator))
            picture.save(folder / "photos" / family / f"{number:03d}.png")
    prepare(folder / "photos", folder / "dataset", PrepareOptions(workers=1, group=("none",), **options))
    return open_dataset(folder / "dataset")


def unread(dataset: Dataset) -> Dataset:
    """The same, as if no test before this one had read its test photos."""
    shutil.rmtree(dataset.folder / READINGS, ignore_errors=True)
    return dataset


def handoff(dataset: Dataset, **changes: object) -> Handoff:
    values = {
        "config": LEARNS,
        "metric": "val_macro_f1",
        "mode": "max",
        "score": 0.9,
        "epoch": 3,
        "study": "small",
        "trial": 1,
        "dataset": str(dataset.folder),
        "dataset_fingerprint": dataset.fingerprint,
        "weights": {},
        "versions": {},
        "git_commit": None,
    }
    return Handoff.model_validate({**values, **changes})


def make_worker(dataset: Dataset, store: Path, store_bytes: int | None = None) -> Worker:
    return Worker(dataset, store, store_bytes, threads=1)


@cache
def random_backbone(name: str, image_size: int) -> Any:
    """A backbone with random weights, built once for all tests of this process; it must stay as it is."""
    return build_backbone(name, image_size, Weights("random", "", "random"), 0)


def red_or_green(size: int = 24) -> Any:
    """Two families: how much red there is, and how much green; the "backbone" averages 4 × 4 pixels."""
    import keras

    inputs = keras.Input((size, size, 3))
    backbone = keras.Model(inputs, keras.layers.AveragePooling2D(4)(inputs), name="averages")
    pixels = keras.Input((size, size, 3))
    features = keras.layers.GlobalAveragePooling2D()(backbone(keras.layers.Rescaling(1 / 255)(pixels)))
    output = keras.layers.Dense(2, activation="softmax", name="probabilities")
    model = keras.Model(pixels, output(keras.layers.Dropout(0.5)(features)))
    output.set_weights([np.array([[1, 0], [0, 1], [0, 0]], np.float32), np.zeros(2, np.float32)])
    return model


def _draw(family: str, generator: np.random.Generator) -> np.ndarray:
    picture = generator.integers(60, 120, (40, 40, 3)).astype(np.uint8)
    row, column = generator.integers(8, 32, 2)
    y, x = np.mgrid[:40, :40]
    if family == "bright_disc":
        picture[(y - row) ** 2 + (x - column) ** 2 < 36] = 240
    elif family == "dark_bar":
        picture[row - 3 : row + 3] = 10
    elif family == "red_square":
        picture[row - 6 : row + 6, column - 6 : column + 6] = (220, 30, 30)
    return picture
