"""Backbone registry: name, Keras application, pixel scaling, least image size, label.

To add a backbone, add a line to `BACKBONES` and run `python -m trainables.network.trainable_layers`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scaling:
    """Pixels in 0..255 become `pixel * scale + offset`, both per channel."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]


# What keras.applications' own preprocess_input does for each family: mode "tf", mode "torch", and nothing.
PLUS_MINUS_ONE = Scaling((1 / 127.5,), (-1.0,))
IMAGENET_STATISTICS = Scaling(
    (1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)), (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225)
)
INSIDE_THE_MODEL = Scaling((1.0,), (0.0,))
ZERO_TO_ONE = Scaling((1 / 255,), (0.0,))


@dataclass(frozen=True)
class BackboneKind:
    """One backbone.

    `application` is the builder's name in keras.applications, None for the study's own simple CNN; `smallest_size` is
    the least side of a photo, in pixels; `label` is the name as its authors write it, for reports.
    """

    application: str | None
    scaling: Scaling
    smallest_size: int
    label: str


BACKBONES = {
    "inception_v3": BackboneKind("InceptionV3", PLUS_MINUS_ONE, 75, "InceptionV3"),
    "mobilenet_v2": BackboneKind("MobileNetV2", PLUS_MINUS_ONE, 32, "MobileNetV2"),
    "densenet121": BackboneKind("DenseNet121", IMAGENET_STATISTICS, 32, "DenseNet121"),
    "efficientnet_v2_b0": BackboneKind("EfficientNetV2B0", INSIDE_THE_MODEL, 32, "EfficientNetV2-B0"),
    "efficientnet_v2_b1": BackboneKind("EfficientNetV2B1", INSIDE_THE_MODEL, 32, "EfficientNetV2-B1"),
    "convnext_tiny": BackboneKind("ConvNeXtTiny", INSIDE_THE_MODEL, 32, "ConvNeXt-Tiny"),
    "simple_cnn": BackboneKind(None, ZERO_TO_ONE, 32, "a simple CNN"),
}
