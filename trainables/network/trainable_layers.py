"""Which counts of unfrozen layers of a backbone train the same layers.

trainable_layers.json holds, for each backbone, where its layers with trainable weights are. Write it anew, after a
backbone was added to backbone_table.py or Keras changed one (takes about a minute, downloads nothing):

    python -m trainables.network.trainable_layers
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from trainables.network.backbone_table import BACKBONES
from trainables.network.backbones import Weights, build_backbone, from_scratch
from trainables.network.cut import find_cut

FILE = Path(__file__).with_suffix(".json")


def fewest_unfrozen(backbone: str, count: int) -> int:
    """Return the smallest count of unfrozen layers that trains the same layers as `count` does."""
    if from_scratch(backbone):
        return 0
    return max((place for place in _stored()[backbone] if place <= count), default=0)


@cache
def _stored() -> dict[str, list[int]]:
    # A file, because the driver of a sweep does not load Keras.
    places: dict[str, list[int]] = json.loads(FILE.read_text())
    return places


def trainable_layers(base: Any) -> list[int]:
    """Return where a backbone's layers with trainable weights are, counted from the end (1 is the last); rising."""
    trainable = set(find_cut(base, len(base.layers)).trainable)
    return [place for place, layer in enumerate(reversed(base.layers), start=1) if layer.name in trainable]


def main() -> None:
    """Build every backbone with random weights and write the file."""
    random = Weights("random", "", "random")
    lines = [
        f" {json.dumps(name)}: {json.dumps(trainable_layers(build_backbone(name, kind.smallest_size, random, 0)))}"
        for name, kind in BACKBONES.items()
        if not from_scratch(name)
    ]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{FILE}: {len(lines)} backbones")


if __name__ == "__main__":
    main()
