"""The probe as one Keras model: backbone, pooling of its depths, a dense layer."""

from typing import Any

from trainables.config import TrialConfig
from trainables.inference.keras_model import headed_model
from trainables.probe.solution import Solution
from trainables.training.worker import Worker


def probe_model(worker: Worker, config: TrialConfig, solution: Solution) -> Any:
    """One Keras model that maps RGB pixels 0..255, [n, size, size, 3], to float32 probabilities [n, classes].

    The backbone inside ends at the last depth that is used.
    """
    import keras

    base = worker.base(config)
    backbone = keras.models.clone_model(base)  # Other trials need the base as it is.
    backbone.set_weights(base.get_weights())
    linear = config.model_copy(update={"head": "depths", "dense_units": 0})
    standard = solution.mean, solution.deviation
    return headed_model(backbone, solution.depths, linear, standard, (solution.kernel, solution.bias))
