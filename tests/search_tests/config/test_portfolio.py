"""search/config/portfolio.py: what `points: auto` tries first, in whatever space a sweep has."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.config.file import read_sweep, write_sweep
from search.config.portfolio import PORTFOLIO, portfolio
from search.config.schema import sweep_config
from search.config.space import check_point, parse_space
from search.sampling.suggestions import identity
from tests.search_tests.example import sweep
from tests.search_tests.tune_loop import PlayedSweep
from trainables.errors import UserError
from trainables.files.experiment import SWEEP_FILE

SWEEPS = Path(__file__).parents[3] / "search" / "sweeps"
NAMES = ["default", "rare_families"]


@pytest.mark.parametrize("name", NAMES)
def test_the_recommended_sweeps_try_the_whole_portfolio(name: str) -> None:
    config = read_sweep(SWEEPS / f"{name}.yaml")
    assert config.points == "auto"
    assert config.first_points == PORTFOLIO
    assert 2 <= len(PORTFOLIO) <= 3
    trains = {identity(config.trial | point) for point in PORTFOLIO}
    assert len(trains) == len(PORTFOLIO)


def test_a_knob_that_is_not_searched_is_left_out() -> None:
    space = parse_space({"dropout": {"low": 0.0, "high": 0.9}, "optimizer": ["adam", "sgd"]})
    found = portfolio(space)
    assert found[0] == {"dropout": PORTFOLIO[0]["dropout"]}
    assert all(list(point) == ["dropout"] for point in found)
    assert portfolio(parse_space({"optimizer": ["adam", "sgd"]})) == ()


@pytest.mark.parametrize(
    ("knob", "spec", "value", "nearest"),
    [
        ("learning_rate", {"low": 1e-3, "high": 1e-1, "log": True}, 3e-4, 1e-3),
        ("learning_rate", {"low": 1e-6, "high": 1e-5}, 3e-4, 1e-5),
        ("learning_rate", [1e-4, 6e-4], 3e-4, 6e-4),  # By ratio: twice, not a third.
        ("dropout", {"low": 0.0, "high": 0.6, "step": 0.25}, 0.3, 0.25),
        ("dense_units", [128, 512], 0, 128),
        ("unfrozen_layers", {"low": 0, "high": 20}, 31, 20),
        ("unfrozen_layers", [0, 31, 62], 31, 31),
    ],
)
def test_another_value_becomes_the_nearest_legal_one(
    monkeypatch: pytest.MonkeyPatch, knob: str, spec: Any, value: float, nearest: float
) -> None:
    monkeypatch.setattr("search.config.portfolio.PORTFOLIO", ({knob: value},))
    assert portfolio(parse_space({knob: spec})) == ({knob: pytest.approx(nearest)},)


def test_points_that_become_the_same_stand_once() -> None:
    space = parse_space({knob: [PORTFOLIO[0][knob]] for knob in PORTFOLIO[0]})
    assert portfolio(space) == (PORTFOLIO[0],)


@given(low=st.floats(1e-6, 1.0), factor=st.floats(1.5, 8.0), units=st.sets(st.integers(0, 4096), min_size=1))
def test_what_is_tried_is_legal_wherever_the_space_lies(low: float, factor: float, units: set[int]) -> None:
    space = parse_space(
        {
            "learning_rate": {"low": low, "high": low * factor, "log": True},
            "dense_units": sorted(units),
            "unfrozen_layers": {"low": 3, "high": 200, "step": 7},
        }
    )
    for point in portfolio(space):
        assert check_point(space, point, "point") == point


@pytest.mark.parametrize("beside", [1, 2])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_portfolio_comes_first_then_the_sampler_and_nothing_twice(
    tmp_path: Path, sampler: str, beside: int
) -> None:
    config = sweep(tmp_path, points="auto", sampler=sampler, trials=8)
    first = config.first_points
    assert len(first) == len(PORTFOLIO)
    trials = PlayedSweep(config).play(beside)
    assert [trial.params for trial in trials[: len(first)]] == list(first)
    assert len({identity(trial.user_attrs["config"]) for trial in trials}) == len(trials) == 8


def test_a_grid_has_its_own_points_and_a_short_sweep_as_many_as_it_has_trials(tmp_path: Path) -> None:
    assert sweep(tmp_path, points="auto", sampler="grid", space={"dropout": [0.1, 0.3]}).first_points == ()
    config = sweep(tmp_path, points="auto", trials=1)
    assert [trial.params for trial in PlayedSweep(config).play()] == [config.first_points[0]]


@pytest.mark.parametrize("wrong", ["best", 3, None])
def test_another_word_is_refused_in_one_line(wrong: object) -> None:
    with pytest.raises(UserError) as caught:
        sweep_config({"name": "x", "dataset": "d", "experiment": "e", "points": wrong})
    assert str(caught.value) == f"points: must be auto or a list of {{knob: value}} to try first, not {wrong!r}"


def test_auto_is_written_as_it_was_read(tmp_path: Path) -> None:
    config = sweep(tmp_path, points="auto")
    write_sweep(config, tmp_path)
    assert read_sweep(tmp_path / SWEEP_FILE) == config
