"""search/config/trial_plan.py: what a trial gets."""

from pathlib import Path

import pytest

from search.config.trial_plan import Plan
from tests.search_tests.example import sweep
from trainables.config import RunSettings, TrialConfig


def test_a_trial_gets_the_fixed_knobs_the_suggestion_its_seeds_and_where_things_are(tmp_path: Path) -> None:
    plan = Plan(sweep(tmp_path, seed=9, trial={"epochs": 4, "augmentation": {"zoom": 0}}, store_gb=0.5), threads=3)
    config = plan.trial_config(7, {"dropout": 0.1, "dense_units": 512})
    assert (config.epochs, config.dropout, config.dense_units, config.augmentation.zoom) == (4, 0.1, 512, 0.0)
    assert config.sweep_seed == 9 and config.seed != plan.trial_config(8, {}).seed
    settings = plan.settings(7, config)
    run = settings.pop("run")
    assert TrialConfig.model_validate(settings) == config
    assert run == RunSettings(
        trial=7,
        dataset=str(tmp_path / "dataset"),
        store=tmp_path / "store",
        store_bytes=2**29,
        threads=3,
        plan=(0, 31, 62),
        checkpoint_dir=str(tmp_path / "experiment" / "trials" / "0007"),
        checkpoint_every=0,
        known_epochs=0,
        cost=None,
    )
    assert plan.experiment == tmp_path / "experiment"


@pytest.mark.parametrize(
    ("space", "trial", "counts"),
    [
        ({"unfrozen_layers": [0, 62]}, {}, [0, 62]),
        ({"unfrozen_layers": {"low": 10, "high": 30, "step": 10}}, {}, [10, 20, 30]),
        ({"unfrozen_layers": {"low": 3, "high": 5}}, {}, [3, 4, 5]),
        ({"dropout": [0.1]}, {"unfrozen_layers": 31}, [31]),
        ({"dropout": [0.1]}, {}, [0]),
    ],
)
def test_the_store_is_told_every_count_of_unfrozen_layers(
    tmp_path: Path, space: dict[str, object], trial: dict[str, object], counts: list[int]
) -> None:
    assert Plan(sweep(tmp_path, space=space, trial=trial), 1).unfrozen_layers() == counts
