"""Cost of a model in use: size and latency of one prediction."""

import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainables.config import TrialConfig
from trainables.files.output import unfinished
from trainables.network.backbones import scale_pixels

MODEL_MB, LATENCY_MS = "model_mb", "latency_ms"
COSTS = (MODEL_MB, LATENCY_MS)

WARM_UP = 5
ROUNDS = 30
_BYTES = 4  # of a float32: a finished model has no smaller numbers, in whatever precision a trial computes


def model_mb(base: Any, dense_units: int, classes: int) -> float:
    """Return the float32 size of all weights of the finished model, in MB (1e6 bytes).

    Counted, not measured: the same on every machine, and for every count of unfrozen layers. `base` is without top.
    """
    channels = int(base.output.shape[-1])
    head = (channels + 1) * dense_units + (dense_units + 1) * classes
    return (int(base.count_params()) + head) * _BYTES / 1e6


def latency_ms(base: Any, config: TrialConfig, classes: int) -> float:
    """Measure how long the finished model takes for one photo on this process's device.

    Returns:
        Milliseconds from pixels in memory to probabilities in memory, batch of one: the median of `ROUNDS` predictions
        after `WARM_UP` others. What else the machine does meanwhile makes it longer.
    """
    import numpy as np  # Not at the top: the sweep's keys name COSTS, and --help reads those.

    predict, _ = predictor(base, config, classes)
    photo = np.random.default_rng(0).integers(0, 256, (1, config.image_size, config.image_size, 3)).astype(np.float32)
    for _ in range(WARM_UP):
        predict(photo)
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        predict(photo)
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


def remembered(model: Mapping[str, Any], folder: Path, measure: Callable[[], float]) -> float:
    """Return what was measured of a model on this machine before, or measure it.

    So every trial of a sweep on a machine, and a sweep that is resumed there, weighs one model alike. Of several
    processes that measure it at once, the first one's figure stays.

    Args:
        model: all that tells it from others; JSON.
        folder: where figures are kept, one file for each model; they are measured again once it is deleted.
    """
    file = folder / f"{hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:16]}.json"
    if not file.is_file():
        with unfinished(file) as temporary:
            temporary.write_text(json.dumps({**model, LATENCY_MS: measure()}))
            with suppress(FileExistsError):
                os.link(temporary, file)
    return float(json.loads(file.read_text())[LATENCY_MS])


def predictor(base: Any, config: TrialConfig, classes: int) -> tuple[Callable[[Any], Any], tuple[Any, Any]]:
    """Build keras_model.whole_model around the backbone itself: a copy of it would take its memory again.

    Returns:
        The function from one photo, float32 [1, size, size, 3] in 0..255, to its probabilities, float32 [1, classes];
        and the two layers of the head.
    """
    import keras
    import tensorflow as tf

    hidden = keras.layers.Dense(config.dense_units, activation="relu")
    output = keras.layers.Dense(classes, activation="softmax")
    hidden.build((None, int(base.output.shape[-1])))
    output.build((None, config.dense_units))

    @tf.function(input_signature=[tf.TensorSpec((1, config.image_size, config.image_size, 3), tf.float32)])
    def forward(pixels: Any) -> Any:
        features = base(scale_pixels(config.backbone, pixels), training=False)
        return output(hidden(tf.reduce_mean(features, axis=[1, 2])))

    return lambda photo: forward(photo).numpy(), (hidden, output)
