"""search/config/cautions.py: keys that do not go together are told, each in a line that names them."""

from pathlib import Path
from typing import Any

import pytest

from search.config.cautions import cautions
from search.config.file import read_sweep
from search.config.schema import sweep_config
from tests.checkout import ROOT

L2 = {"l2": {"low": 1e-5, "high": 1e-1, "log": True}}
UNITS = {"dense_units": [128, 512]}


def cautions_of(**keys: Any) -> list[str]:
    return cautions(sweep_config({"name": "x", "dataset": "d", "experiment": "e", **keys}))


@pytest.mark.parametrize(
    ("keys", "beginning"),
    [
        ({"early_stopping": {"grace_epochs": 10}, "trial": {"epochs": 3}},
         "early_stopping.grace_epochs: 10 of a trial's 3 epochs, so asha stops none"),
        ({"early_stopping": {"kind": "median", "grace_epochs": 3}, "trial": {"epochs": 3}},
         "early_stopping.grace_epochs: 3 of a trial's 3 epochs, so median stops none"),
        ({"early_stopping": {"brackets": 4}, "trial": {"epochs": 9}},
         "early_stopping.brackets: 4, but 9 epochs have 2 rungs, so there are 2"),
        ({"early_stopping": {"min_results": 20}}, "early_stopping.min_results: 20 others must have been at a rung"),
        ({"startup_trials": 20}, "startup_trials: 20 of 20 trials are drawn at random, so tpe never learns"),
        ({"budget": {"plateau": {"trials": 20}}}, "budget.plateau.trials: 20 trials in a row cannot come after"),
        ({"metric": "val_loss", "space": L2}, "metric: val_loss changes with l2 (searched)"),
        ({"metric": "val_loss", "space": L2 | UNITS}, "metric: val_loss changes with l2 and dense_units (searched)"),
        ({"metric": "val_loss", "space": UNITS}, "metric: val_loss changes with dense_units (searched)"),
        ({"metric": "val_loss", "space": {"backbone": ["mobilenet_v2", "inception_v3"]}},
         "metric: val_loss changes with backbone (searched)"),
        ({"metric": "val_loss", "space": {"head": ["study", "depths"]}},
         "metric: val_loss changes with head (searched)"),
        ({"metric": "train_loss", "space": {"label_smoothing": [0.0, 0.1]}},
         "metric: train_loss changes with label_smoothing (searched)"),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together_are_told(keys: dict[str, Any], beginning: str) -> None:
    (line,) = cautions_of(**keys)
    assert line.startswith(beginning) and "\n" not in line


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"trials": 2},
        {"trial": {"epochs": 1}},
        {"early_stopping": {"grace_epochs": 2}, "trial": {"epochs": 3}},
        {"early_stopping": {"kind": "none", "grace_epochs": 10}, "trial": {"epochs": 3}},
        {"startup_trials": 30, "sampler": "random"},
        {"metric": "val_cross_entropy", "space": L2},
        {"metric": "val_loss", "space": UNITS, "trial": {"l2": 0.0}},
        {"metric": "val_loss", "space": {"label_smoothing": [0.0, 0.1]}},
    ],
)
def test_keys_that_go_together_are_not(keys: dict[str, Any]) -> None:
    assert cautions_of(**keys) == []


@pytest.mark.parametrize("file", sorted((ROOT / "search" / "sweeps").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_sweep_is_free_of_them(file: Path) -> None:
    assert cautions(read_sweep(file)) == []
