"""Backbones with their starting weights, one per process and kind."""

from collections.abc import Callable
from typing import Any

from trainables.config import TrialConfig
from trainables.network.backbones import (
    Weights,
    build_backbone,
    calibrate_batch_norm,
    from_scratch,
    resolve_weights,
    scale_pixels,
)
from trainables.network.cut import Cut, find_cut


class BackboneCache:
    """Builds each backbone once; it is never trained, as tails are copies."""

    def __init__(self, calibration: Callable[[int], Any]) -> None:
        """Args: `calibration` returns some photos of an image size, uint8 [n, size, size, 3], for random weights."""
        self._calibration = calibration
        self._weights: dict[tuple[str, str], Weights] = {}
        self._bases: dict[tuple[str, int, str, int], Any] = {}

    def weights(self, config: TrialConfig) -> Weights:
        """Which weights the configuration's backbone starts from on this machine."""
        key = config.backbone, config.backbone_weights
        if key not in self._weights:
            self._weights[key] = resolve_weights(*key)
        return self._weights[key]

    def base(self, config: TrialConfig) -> Any:
        """The Keras backbone without top, with its starting weights."""
        key = config.backbone, config.image_size, config.backbone_weights, config.sweep_seed
        if key not in self._bases:
            weights = self.weights(config)
            base = build_backbone(config.backbone, config.image_size, weights, config.sweep_seed)
            if weights.kind == "random" and not from_scratch(config.backbone):
                pixels = scale_pixels(config.backbone, self._calibration(config.image_size))
                calibrate_batch_norm(base, pixels, config.sweep_seed)
            self._bases[key] = base
        return self._bases[key]

    def cut(self, config: TrialConfig, unfrozen_layers: int) -> Cut:
        """Where the backbone is cut for a count of unfrozen layers."""
        return cut_backbone(self.base(config), config.backbone, unfrozen_layers)


def cut_backbone(base: Any, backbone: str, unfrozen_layers: int) -> Cut:
    """Find the cut of a backbone by its name; one without weights to keep trains whole, BatchNorm included."""
    if from_scratch(backbone):
        return find_cut(base, len(base.layers), batch_norm=True)
    return find_cut(base, unfrozen_layers)
