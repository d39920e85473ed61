"""search/sampling/equivalence.py: what trains the same is recognised, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from search.sampling.equivalence import identity, points_of
from tests.search_tests.example import sweep
from trainables.config import TrialConfig


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return identity(TrialConfig(**first).model_dump()) == identity(TrialConfig(**second).model_dump())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"unfrozen_layers": 31}, {"unfrozen_layers": 40}),
        ({"unfrozen_layers": 311}, {"unfrozen_layers": 5000}),
        ({"seed": 1, "sweep_seed": 2}, {"seed": 3, "sweep_seed": 4}),
        ({"backbone": "simple_cnn", "unfrozen_layers": 0}, {"backbone": "simple_cnn", "unfrozen_layers": 62}),
        ({"backbone": "simple_cnn", "weights": "auto"}, {"backbone": "simple_cnn", "weights": "imagenet"}),
        ({"weights": {"inception_v3": "a.h5"}}, {"weights": {"inception_v3": "a.h5", "densenet121": "b.h5"}}),
        ({"weights": {"densenet121": "b.h5"}}, {"weights": "auto"}),
        ({"epochs": 5, "patience": 5}, {"epochs": 5, "patience": 50}),
        ({"epochs": 5, "augment_views": 5}, {"epochs": 5, "augment_views": 9}),
    ],
)
def test_what_makes_no_difference_makes_none(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert same(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"unfrozen_layers": 30}, {"unfrozen_layers": 31}),
        ({"unfrozen_layers": 31}, {"unfrozen_layers": 62}),
        ({"learning_rate": 1e-3}, {"learning_rate": 1.0001e-3}),
        ({"epochs": 5, "patience": 4}, {"epochs": 5, "patience": 5}),
        ({"epochs": 5, "augment_views": 3}, {"epochs": 5, "augment_views": 4}),
        ({"augmentation": {"rotation": 0}}, {"augmentation": {"rotation": 10}}),
        ({"weights": {"inception_v3": "a.h5"}}, {"weights": "auto"}),
    ],
)
def test_what_makes_a_difference_is_two_configurations(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert not same(first, second)


def test_the_points_of_a_finite_space_are_each_there_once_in_a_seeded_order(tmp_path: Path) -> None:
    space = {
        "dropout": {"low": 0.0, "high": 0.5, "step": 0.2},
        "dense_units": {"low": 1, "high": 3},
        "optimizer": ["sgd"],
    }
    points = list(points_of(sweep(tmp_path, space=space)) or ())
    assert {(point["dropout"], point["dense_units"], point["optimizer"]) for point in points} == {
        (dropout, units, "sgd") for dropout in (0.0, 0.2, 0.4) for units in (1, 2, 3)
    }
    assert points == list(points_of(sweep(tmp_path, space=space)) or ())
    assert points != list(points_of(sweep(tmp_path, space=space, seed=1)) or ())


def test_a_range_of_numbers_has_no_end_of_points_unless_it_is_a_grid(tmp_path: Path) -> None:
    space = {"dropout": {"low": 0.0, "high": 0.5, "points": 3}}
    assert points_of(sweep(tmp_path, space=space)) is None
    assert len(list(points_of(sweep(tmp_path, space=space, sampler="grid")) or ())) == 3
