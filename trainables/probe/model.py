"""The probe as one Keras model: backbone, pooling of its depths, a dense layer."""

from typing import Any

from trainables.config import TrialConfig
from trainables.network.backbones import scaling_layer
from trainables.network.cut import pooled_at, tensors_at
from trainables.probe.solution import Solution
from trainables.training.worker import Worker


def probe_model(worker: Worker, config: TrialConfig, solution: Solution) -> Any:
    """One Keras model that maps RGB pixels 0..255, [n, size, size, 3], to float32 probabilities [n, classes].

    The backbone inside ends at the last depth that is used, and gives the pooled features of all side by side; the
    standardisation is in the dense layer's weights. So a head of layers in a row follows a backbone, as in the model
    of the final stage.
    """
    import keras

    base = worker.base(config)
    pooled = tensors_at(base, "+".join(map(pooled_at, solution.depths)))
    inside = keras.Model(base.inputs, pooled[0] if len(pooled) == 1 else keras.layers.Concatenate()(pooled))
    backbone = keras.models.clone_model(inside)  # Other trials need the base as it is.
    backbone.set_weights(inside.get_weights())
    backbone.trainable = False
    pixels = keras.Input((config.image_size, config.image_size, 3), name="pixels")
    output = keras.layers.Dense(len(solution.bias), activation="softmax", name="probabilities")
    features = backbone(scaling_layer(config.backbone)(pixels), training=False)
    model = keras.Model(pixels, output(features), name="raretune")
    kernel = solution.kernel / solution.deviation[:, None]
    output.set_weights([kernel, solution.bias - solution.mean @ kernel])
    return model
