"""trainables/network/trainable_layers.py: the stored places are those of the backbones."""

import json
from pathlib import Path

import pytest

from trainables.network import trainable_layers as module
from trainables.network.backbone_table import BACKBONES
from trainables.network.backbones import Weights, build_backbone
from trainables.network.cut import find_cut
from trainables.network.trainable_layers import fewest_unfrozen
from trainables.network.weight_files import SHAPES_FILE

STORED = json.loads(module.FILE.read_text())
PRETRAINED = [name for name, kind in BACKBONES.items() if kind.application is not None]


def test_every_backbone_of_the_registry_stands_in_the_file() -> None:
    assert list(STORED) == PRETRAINED, "run python -m trainables.network.trainable_layers"


def test_the_head_alone_is_one_configuration_up_to_the_first_convolution() -> None:
    assert fewest_unfrozen("inception_v3", 0) == 0
    assert [fewest_unfrozen("inception_v3", count) for count in (31, 35, 40)] == [31, 31, 31]
    assert fewest_unfrozen("simple_cnn", 5) == 0


def test_the_command_writes_the_file_for_the_backbones_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "BACKBONES", {name: BACKBONES[name] for name in ("mobilenet_v2", "simple_cnn")})
    monkeypatch.setattr(module, "FILE", tmp_path / "places.json")
    monkeypatch.setattr(module, "SHAPES_FILE", tmp_path / "shapes.json")
    shapes = json.loads(SHAPES_FILE.read_text())
    module.main()
    assert json.loads((tmp_path / "places.json").read_text()) == {"mobilenet_v2": STORED["mobilenet_v2"]}
    assert json.loads((tmp_path / "shapes.json").read_text()) == {"mobilenet_v2": shapes["mobilenet_v2"]}
    assert capsys.readouterr().out == "".join(f"{tmp_path / name}.json: 1 backbones\n" for name in ("places", "shapes"))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", PRETRAINED)
def test_the_table_agrees_with_the_cut_of_the_backbone(backbone: str) -> None:
    base = build_backbone(backbone, 75, Weights("random", "", "random"), 0)
    trained = [find_cut(base, count).trainable for count in range(len(base.layers) + 2)]
    table = [fewest_unfrozen(backbone, count) for count in range(len(base.layers) + 2)]
    for count in range(1, len(trained)):
        assert (table[count] == table[count - 1]) == (trained[count] == trained[count - 1]), count
    assert all(trained[fewest] == trained[count] for count, fewest in enumerate(table))
