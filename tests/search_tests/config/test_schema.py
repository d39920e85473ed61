"""search/config/schema.py: what a sweep may be."""

from pathlib import Path
from typing import Any

import pytest

from search.config.schema import HIGHER_IS_BETTER, LOWER_IS_BETTER, better, sweep_config
from tests.search_tests.example import sweep
from trainables.errors import UserError

GIVEN = {"name": "s", "dataset": "/d", "experiment": "/e"}


def test_a_sweep_needs_no_more_than_its_data_and_a_place() -> None:
    config = sweep_config(GIVEN)
    assert (config.metric, config.mode, config.trials, config.sampler) == ("val_macro_f1", "max", 20, "tpe")
    assert (config.early_stopping.kind, config.early_stopping.min_results) == ("asha", 3)
    assert list(config.space) == ["learning_rate", "dropout", "dense_units", "unfrozen_layers"]
    assert config.max_epochs == 9


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"trails": 3},
            "unknown key 'trails'; the keys here are: address, budget, checkpoint_every, checkpoint_gb",
        ),
        ({"early_stopping": {"grace": 1}}, "unknown key 'early_stopping.grace'; the keys here are: brackets"),
        ({"trials": "many"}, "trials: input should be a valid integer"),
        ({"trials": 0}, "trials: input should be greater than or equal to 1, not 0"),
        ({"sampler": "cma"}, "sampler: input should be 'tpe', 'random', 'grid' or 'gp', not 'cma'"),
        ({"metric": "val_f1"}, "metric: no trial reports 'val_f1'; reported are: train_accuracy, train_macro_f1"),
        ({"mode": "maximize"}, "mode: input should be 'max' or 'min', not 'maximize'"),
        ({"mode": "min"}, "mode: val_macro_f1 is better when larger; use max"),
        ({"metric": "val_loss", "mode": "max"}, "mode: val_loss is better when smaller; use min"),
        (
            {"objectives": ["val_macro_f1", "speed"]},
            "objectives: must be a metric and one of model_mb, latency_ms, such as [val_macro_f1, model_mb], not "
            "[val_macro_f1, speed]",
        ),
        ({"objectives": ["val_macro_f1", "val_accuracy"]}, "objectives: must be a metric and one of"),
        ({"objectives": ["model_mb", "model_mb"]}, "objectives: must be a metric and one of"),
        ({"objectives": ["model_mb", "val_macro_f1"]}, "objectives: must be a metric and one of"),
        ({"objectives": ["val_macro_f1"]}, "objectives: must be a metric and one of"),
        ({"objectives": ["val_macro_f1", "model_mb", "latency_ms"]}, "objectives: must be a metric and one of"),
        ({"objectives": "model_mb"}, "objectives: input should be a valid tuple"),
        ({"objectives": ["val_f1", "model_mb"]}, "metric: no trial reports 'val_f1'; reported are: train_accuracy"),
        (
            {"objectives": ["val_loss", "model_mb"], "metric": "val_macro_f1"},
            "metric: is val_macro_f1, but the first of `objectives` is val_loss",
        ),
        ({"objectives": ["val_macro_f1", "model_mb"], "sampler": "gp"}, "sampler: gp models one objective only; with"),
        ({"constraints": {"speed": 3}}, "constraints.speed"),
        ({"constraints": {"model_mb": 0}}, "constraints.model_mb: must be above 0, not 0"),
        (
            {"constraints": {"model_mb": 20}, "sampler": "gp"},
            "constraints: the gp sampler does not know them here; use",
        ),
        ({"constraints": {"model_mb": 20, "latency_ms": 5}}, "constraints: a sweep weighs one of model_mb, latency_ms"),
        (
            {"constraints": {"model_mb": 20}, "objectives": ["val_macro_f1", "latency_ms"]},
            "constraints: a sweep weighs one of model_mb, latency_ms alone",
        ),
        ({"constraints": {"model_mb": float("nan")}}, "constraints.model_mb: input should be a finite number, not nan"),
        ({"constraints": {"mb": 20}}, "constraints.mb: input should be 'model_mb' or 'latency_ms', not 'mb'"),
        ({"budget": {"hours": float("inf")}}, "budget.hours: input should be a finite number, not inf"),
        ({"metric": "val_loss", "budget": {"target": 0}}, "budget.target: val_loss is above 0, and never at 0"),
        ({"trial": {"weights": 5}}, "trial.weights: input should be a valid string or a valid dictionary, not 5"),
        (
            {"trial": {"weights": {"resnet": "a.h5"}}},
            "trial.weights.resnet: input should be 'inception_v3', ",
        ),
        ({"space": {}}, "space: must map at least one knob"),
        (
            {"space": {"dropout": {"low": 0.6, "high": 0}}},
            "space.dropout: low must be below high, not low 0.6 and high 0",
        ),
        ({"trial": {"batchsize": 3}}, "trial: unknown key 'batchsize'; the keys here are: augment_views"),
        ({"trial": {"batch_size": 0}}, "trial.batch_size: input should be greater than or equal to 1, not 0"),
        ({"trial": {"seed": 1}}, "trial.seed: follows from the sweep's own seed; set `seed` instead"),
        ({"trial": {"dropout": 0.1}}, "trial.dropout: is searched in `space` too"),
        (
            {"early_stopping": {"reduction_factor": 1}},
            "early_stopping.reduction_factor: input should be greater than or equal to 1.01",
        ),
        ({"resources": {"concurrent_trials": 0}}, "resources.concurrent_trials: must be auto or at least 1, not 0"),
        (
            {"resources": {"gpus_per_trial": 1.5}},
            "resources.gpus_per_trial: must be auto, 0 to 1, or a whole number, not",
        ),
        ({"resources": {"gpus_per_trial": -1}}, "resources.gpus_per_trial: must be auto"),
        ({"resources": {"threads_per_trial": "all"}}, "resources.threads_per_trial"),
    ],
)
def test_a_bad_sweep_is_refused_in_one_line_that_names_the_key(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        sweep_config({**GIVEN, **changes})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_knob_inside_augmentation_may_be_fixed_beside_a_searched_one_but_not_the_same() -> None:
    space = {"augmentation": {"zoom": {"low": 0, "high": 0.4}}}
    assert sweep_config({**GIVEN, "space": space, "trial": {"augmentation": {"rotation": 0}}})
    with pytest.raises(UserError, match=r"trial\.augmentation\.zoom: is searched in `space` too"):
        sweep_config({**GIVEN, "space": space, "trial": {"augmentation": {"zoom": 0.1}}})


def test_a_missing_dataset_is_named() -> None:
    with pytest.raises(UserError, match="the key 'dataset' is missing"):
        sweep_config({"name": "s", "experiment": "/e"})


def test_the_mode_follows_from_the_metric() -> None:
    assert sweep_config({**GIVEN, "metric": "val_loss"}).mode == "min"
    assert {better(metric) for metric in HIGHER_IS_BETTER} == {"max"}
    assert {better(metric) for metric in LOWER_IS_BETTER} == {"min"}


def test_a_sweep_cannot_be_changed_once_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        sweep(tmp_path).trials = 3  # type: ignore[misc]


def test_the_first_of_two_objectives_is_the_metric_and_the_second_what_a_model_costs() -> None:
    config = sweep_config({**GIVEN, "objectives": ["val_loss", "latency_ms"]})
    assert (config.metric, config.mode, config.cost) == ("val_loss", "min", "latency_ms")
    assert sweep_config(config.model_dump()) == config
    assert sweep_config(GIVEN).cost is None
