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

from pydantic import BaseModel

from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.files.output import sync, unfinished
from trainables.files.record import read_record
from trainables.network.backbones import scale_pixels
from trainables.network.head import head_depths, head_layers, head_parameters, pooled_backbone

MODEL_MB, LATENCY_MS = "model_mb", "latency_ms"
COSTS = (MODEL_MB, LATENCY_MS)

WARM_UP = 5
ROUNDS = 30
_BYTES = 4  # of a float32: a finished model has no smaller numbers, in whatever precision a trial computes


def model_mb(base: Any, config: TrialConfig, classes: int) -> float:
    """Return the float32 size of all weights of the finished model, in MB (1e6 bytes).

    Counted, not measured: the same on every machine, and for every count of unfrozen layers. `base` is without top.
    """
    channels = int(pooled_backbone(base, head_depths(base, config)).output.shape[-1])
    return (int(base.count_params()) + head_parameters(channels, config, classes)) * _BYTES / 1e6


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


class _Remembered(BaseModel, extra="ignore"):
    latency_ms: float


def remembered(model: Mapping[str, Any], folder: Path, measure: Callable[[], float]) -> float:
    """Return what was measured of a model on this machine before, or measure it.

    So every trial of a sweep on a machine, and a sweep that is resumed there, weighs one model alike. Of several
    processes that measure it at once, the first one's figure stays.

    Args:
        model: all that tells it from others; JSON.
        folder: where figures are kept, one file for each model; they are measured again once it is deleted.
    """
    file = folder / f"{hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:16]}.json"
    for _ in range(2):
        with suppress(UserError):
            return read_record(file, _Remembered, "").latency_ms
        file.unlink(missing_ok=True)  # It is damaged.
        with unfinished(file) as temporary:
            temporary.write_text(json.dumps({**model, LATENCY_MS: measure()}))
            sync(temporary)
            with suppress(FileExistsError):
                os.link(temporary, file)
    return read_record(file, _Remembered, "delete it").latency_ms


def predictor(base: Any, config: TrialConfig, classes: int) -> tuple[Callable[[Any], Any], list[Any]]:
    """Build keras_model.whole_model around the backbone itself: a copy of it would take its memory again.

    Returns:
        The function from one photo, float32 [1, size, size, 3] in 0..255, to its probabilities, float32 [1, classes];
        and the head's dense layers.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    features = pooled_backbone(base, head_depths(base, config))
    channels = int(features.output.shape[-1])
    standard = (np.zeros(channels), np.ones(channels)) if config.head == "depths" else None
    layers = head_layers(config, classes, standard)
    model = keras.Sequential([features, *layers])

    @tf.function(input_signature=[tf.TensorSpec((1, config.image_size, config.image_size, 3), tf.float32)])
    def forward(pixels: Any) -> Any:
        return model(scale_pixels(config.backbone, pixels), training=False)

    return lambda photo: forward(photo).numpy(), [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
