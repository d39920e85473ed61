"""search/config/space.py: what a space may hold, and what Optuna gets of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.config.space import (
    DEFAULT_SPACE,
    assemble,
    distributions,
    dump_space,
    grid,
    on_step,
    parse_space,
    searchable,
    values_of,
)
from trainables.config import Augmentation, TrialConfig
from trainables.errors import UserError


def test_the_default_space_is_the_four_knobs_of_the_study() -> None:
    assert distributions(parse_space(DEFAULT_SPACE)) == {
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "dropout": FloatDistribution(0.0, 0.6),
        "dense_units": CategoricalDistribution((128, 256, 512)),
        "unfrozen_layers": CategoricalDistribution((0, 31, 62)),
    }


def test_a_whole_number_knob_gets_whole_numbers_up_to_and_with_its_high() -> None:
    space = parse_space(
        {"unfrozen_layers": {"low": 0, "high": 3}, "augmentation": {"rotation": {"low": 0, "high": 20}}}
    )
    assert distributions(space) == {
        "unfrozen_layers": IntDistribution(0, 3),
        "augmentation.rotation": FloatDistribution(0.0, 20.0),
    }


def test_every_knob_of_a_trial_can_be_searched_but_the_clock_the_seeds_and_the_validation() -> None:
    nested = {f"augmentation.{name}" for name in Augmentation.model_fields}
    assert set(searchable()) == (TrialConfig.model_fields.keys() | nested) - {
        "epochs", "seed", "sweep_seed", "validation", "augmentation"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({}, "space: must map at least one knob"),
        ([1], "space: must map at least one knob"),
        ({"learn_rate": [1e-3]}, "space.learn_rate: unknown knob; searchable are: learning_rate, dropout"),
        ({"augmentation.tilt": [1]}, "space.augmentation.tilt: unknown knob"),
        ({"epochs": [3, 9]}, "space.epochs: cannot be searched, it is the clock"),
        ({"seed": [1, 2]}, "space.seed: cannot be searched"),
        ({"dropout": []}, "space.dropout: the list of choices is empty"),
        ({"dropout": [0.1, 0.1]}, "space.dropout: 0.1 is listed twice"),
        (
            {"augmentation.zoom": [0.1, 0.2], "augmentation": {"zoom": [0.3]}},
            "space.augmentation.zoom: stands there twice",
        ),
        ({"weights": [{"inception_v3": "random"}]}, "space.weights: a choice must be one word or number, not {'incep"),
        ({"dropout": {"low": "a", "high": 1}}, "space.dropout: low: input should be a valid integer or a valid number"),
        ({"precision": ["auto", "float32"]}, "space.precision: auto is no value to try"),
        ({"dropout": 0.1}, "space.dropout: must be a list of choices or a range {low, high}, not 0.1"),
        ({"dropout": [0.1, 1.5]}, "space.dropout: input should be less than 1, not 1.5"),
        ({"dropout": {"low": 0.1}}, "space.dropout: the key 'high' is missing"),
        ({"dropout": {"low": 0, "high": 0.5, "steps": 2}}, "space.dropout: unknown key 'steps'; the keys here are:"),
        ({"dropout": {"low": "a", "high": 0.5}}, "space.dropout: low"),
        ({"dropout": {"low": 0.5, "high": 0.1}}, "space.dropout: low must be below high, not low 0.5 and high 0.1"),
        ({"dropout": {"low": 0.5, "high": 0.5}}, "space.dropout: low must be below high"),
        ({"dropout": {"low": 0.0, "high": 1.5}}, "space.dropout: input should be less than 1, not 1.5"),
        ({"learning_rate": {"low": 0, "high": 1, "log": True}}, "space.learning_rate: a log range must start above 0"),
        ({"learning_rate": {"low": float("nan"), "high": 1}}, "space.learning_rate: low and high must be finite"),
        ({"learning_rate": {"low": 0.1, "high": 1, "log": True, "step": 0.1}}, "space.learning_rate: a log range has"),
        ({"dropout": {"low": 0, "high": 0.5, "step": 0}}, "space.dropout: step must be above 0"),
        ({"dropout": {"low": 0, "high": 0.5, "points": 0}}, "space.dropout: points must be at least 1"),
        ({"dense_units": {"low": 1.5, "high": 3}}, "space.dense_units: is a whole number"),
        ({"backbone": {"low": 1, "high": 3}}, "space.backbone: is not a number, list its choices instead, such as ["),
        ({"augmentation.horizontal_flip": {"low": 0, "high": 1}}, "space.augmentation.horizontal_flip: is not a"),
        ({"backbone": ["resnet"]}, "space.backbone: input should be 'inception_v3'"),
    ],
)  # fmt: skip
def test_a_bad_space_is_refused_in_one_line_that_names_the_knob(raw: Any, line: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_space(raw)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_steps_are_the_decimals_that_people_write() -> None:
    knob = parse_space({"dropout": {"low": 0.1, "high": 0.75, "step": 0.1}})["dropout"]
    assert values_of("dropout", knob) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert on_step(knob, 0.1 + 2 * 0.1) == 0.3 != 0.1 + 2 * 0.1
    assert on_step(knob, 0.35) == 0.35
    whole = parse_space({"unfrozen_layers": {"low": 1, "high": 10, "step": 3}})["unfrozen_layers"]
    assert repr(values_of("unfrozen_layers", whole)) == "[1, 4, 7, 10]" and on_step(whole, 7) == 7


def test_a_dumped_space_reads_back_equal() -> None:
    space = parse_space({**DEFAULT_SPACE, "augmentation": {"zoom": {"low": 0, "high": 0.5, "step": 0.1}}})
    assert parse_space(dump_space(space)) == space


def test_the_grid_combines_choices_points_and_steps() -> None:
    raw = {
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "points": 3},
        "dropout": {"low": 0.0, "high": 0.5, "step": 0.25},
        "unfrozen_layers": {"low": 0, "high": 10, "points": 3},
        "dense_units": [128, 512],
    }
    values = grid(parse_space(raw))
    assert values["learning_rate"] == pytest.approx([1e-4, 1e-3, 1e-2])
    assert values["dropout"] == pytest.approx([0.0, 0.25, 0.5])
    assert values["unfrozen_layers"] == [0, 5, 10]
    assert values["dense_units"] == [128, 512]


def test_a_range_without_points_makes_no_grid() -> None:
    with pytest.raises(UserError, match=r"space\.dropout: the grid sampler needs `points`"):
        grid(parse_space({"dropout": {"low": 0, "high": 0.5}}))


@given(low=st.floats(1e-6, 1.0), factor=st.floats(1.5, 8.0), points=st.integers(1, 9), log=st.booleans())
def test_grid_points_never_leave_the_range(low: float, factor: float, points: int, log: bool) -> None:
    raw = {"learning_rate": {"low": low, "high": low * factor, "log": log, "points": points}}
    values = grid(parse_space(raw))["learning_rate"]
    assert len(values) == points
    assert all(low <= float(value) <= low * factor for value in values)


def test_a_suggestion_is_merged_into_the_fixed_knobs_also_inside_augmentation() -> None:
    fixed = {"epochs": 3, "augmentation": {"zoom": 0.4}}
    config = assemble(fixed, {"dropout": 0.25, "augmentation.rotation": 5.0})
    assert (config.epochs, config.dropout) == (3, 0.25)
    assert config.augmentation == Augmentation(zoom=0.4, rotation=5.0)
    assert fixed == {"epochs": 3, "augmentation": {"zoom": 0.4}}
