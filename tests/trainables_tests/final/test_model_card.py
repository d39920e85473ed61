"""trainables/final/model_card.py: what a reader must find in the card, in the run's own figures."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trainables.data.dataset import Dataset
from trainables.final.model_card import model_card

SECTIONS = [
    *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
    *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations"),
]


def family(name: str, test_photos: int, test_f1: float | None) -> dict[str, str]:
    score = "" if test_f1 is None else f"{test_f1:.6f}"
    return {"family": name, "train_photos": "20", "test_photos": str(test_photos), "test_f1_before": score}


def metrics(**changes: Any) -> dict[str, Any]:
    figures = {"accuracy": 0.6, "loss": 1.0, "cross_entropy": 0.9, "macro_f1": 0.55}
    values = {
        "stages": {"before": dict.fromkeys(("train", "validation", "test"), figures), "after": None},
        "chosen": "before",
        "chosen_because": "nothing was oversampled",
        "oversampled_families": [],
        "threshold": 0.3,
        "copies": 2,
        "sweep_metric": "val_macro_f1",
        "sweep_score": 0.58,
        "alarm": None,
        "leaks": {"passed": True},
        "versions": {"keras": "3.15.1"},
        "git_commit": None,
        "weights": {"kind": "file", "detail": "/home/someone/weights.h5", "warning": None},
        "config": {
            **{
                "backbone": "inception_v3",
                "image_size": 139,
                "unfrozen_layers": 31,
                "dropout": 0.3,
                "dense_units": 256,
            },
            **{"imbalance": "class_weights"},
            "augmentation": {
                **{"horizontal_flip": True, "vertical_flip": False, "rotation": 20.0},
                **{"zoom": 0.1, "brightness": 0.0, "contrast": 0.2},
            },
        },
    }
    return values | changes


def test_the_card_of_a_final_stage_has_the_standard_sections_and_its_figures(final: Path) -> None:
    card = (final / "model_card.md").read_text()
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == SECTIONS
    written = json.loads((final / "metrics.json").read_text())
    for splits in written["stages"].values():
        assert f"{splits['test']['accuracy']:.1%} | {splits['test']['macro_f1']:.1%}" in card
    assert all(name in card for name in written["oversampled_families"])
    assert "proved disjoint" in card


def test_no_folder_of_this_machine_is_in_it(small_dataset: Dataset) -> None:
    card = model_card("s", metrics(), small_dataset.manifest, [family("a", 9, 0.5)])
    assert "weights.h5" in card
    assert "/home/someone" not in card and str(small_dataset.manifest.source) not in card


def test_warnings_stand_before_all_else(small_dataset: Dataset) -> None:
    warned = metrics(alarm="test is far above validation", weights={"kind": "random", "warning": "random weights"})
    card = model_card("s", warned, small_dataset.manifest, [family("a", 9, 0.5)])
    first = card.index("## Model details")
    assert 0 < card.index("**Warning:** test is far above validation") < card.index("random weights") < first


def test_what_cannot_be_believed_is_named(small_dataset: Dataset) -> None:
    manifest = small_dataset.manifest.model_copy(update={"train_only_families": ["rare_one"]})
    families = [family("often", 9, 0.9), family("seldom", 2, 0.2), family("rare_one", 0, None)]
    card = model_card("s", metrics(leaks={"passed": False}), manifest, families)
    assert "Families with fewer than 5 test photos: 1;" in card
    assert "Never tested, for want of photos: rare_one" in card
    assert "NOT proved disjoint" in card
    assert card.index("| seldom | 20 | 2 | 20% |") < card.index("| often | 20 | 9 | 90% |")


def test_the_interval_of_accuracy_is_wilsons(small_dataset: Dataset) -> None:
    counts = {**small_dataset.manifest.counts, "test": {"a": 45}}
    manifest = small_dataset.manifest.model_copy(update={"counts": counts})
    # 27 of 45: (0.6 + z²/90 ± z·√(0.6·0.4/45 + z²/8100)) / (1 + z²/45) with z = 1.96.
    assert "accuracy 60.0% means 45.5% to 73.0%" in model_card("s", metrics(), manifest, [family("a", 45, 0.5)])


@pytest.mark.parametrize(("backbone", "says"), [("inception_v3", "last 31 layers"), ("simple_cnn", "all of it")])
def test_it_says_what_was_trained(small_dataset: Dataset, backbone: str, says: str) -> None:
    values = metrics()
    values["config"]["backbone"] = backbone
    assert says in model_card("s", values, small_dataset.manifest, [family("a", 9, 0.5)])
