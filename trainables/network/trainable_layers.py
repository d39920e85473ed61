"""Which counts of unfrozen layers of a backbone train the same layers.

trainable_layers.json holds, for each backbone, where its layers with trainable weights are. Write it and
weight_shapes.json anew, after a backbone was added to backbone_table.py or Keras changed one (takes about a minute,
downloads nothing):

    python -m trainables.network.trainable_layers
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from trainables.network.backbone_table import BACKBONES
from trainables.network.backbones import Weights, build_backbone, from_scratch
from trainables.network.cut import find_cut
from trainables.network.weight_files import SHAPES_FILE, shapes_of

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
    """Build every backbone with random weights and write the files."""
    random = Weights("random", "", "random")
    found: dict[Path, dict[str, Any]] = {FILE: {}, SHAPES_FILE: {}}
    for name, kind in BACKBONES.items():
        if not from_scratch(name):
            base = build_backbone(name, kind.smallest_size, random, 0)
            found[FILE][name], found[SHAPES_FILE][name] = trainable_layers(base), shapes_of(base)
    for file, by_name in found.items():
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in by_name.items()]
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        print(f"{file}: {len(lines)} backbones")


if __name__ == "__main__":
    main()
