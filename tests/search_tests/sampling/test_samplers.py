"""search/sampling/samplers.py: suggestions follow from the record and the seed alone."""

from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler

from search.config.schema import SweepConfig
from search.config.seeds import trial_seed
from search.config.space import distributions
from search.sampling.gp import GaussianProcessSampler
from search.sampling.samplers import check_sampler, make_sampler
from tests.search_tests.example import sweep
from trainables.errors import UserError

GRID = {"dropout": [0.0, 0.5], "dense_units": [128, 256, 512]}


def suggest(config: SweepConfig, trials: int, study: optuna.Study) -> list[dict[str, float]]:
    """Go on with a study for some trials, as a new process would."""
    for _ in range(trials):
        study.sampler = make_sampler(config, len(study.trials))
        trial = study.ask(fixed_distributions=distributions(config.space))
        study.tell(trial, trial.params["dropout"])
    return [trial.params for trial in study.trials]


def test_the_name_chooses_the_sampler(tmp_path: Path) -> None:
    kinds = {"tpe": TPESampler, "random": RandomSampler, "gp": GaussianProcessSampler}
    for name, kind in kinds.items():
        assert isinstance(make_sampler(sweep(tmp_path, sampler=name), 0), kind)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "gp"])
def test_a_search_taken_up_again_suggests_what_one_without_a_break_would(tmp_path: Path, sampler: str) -> None:
    config = sweep(tmp_path, sampler=sampler, space=GRID, startup_trials=2)
    whole = suggest(config, 6, optuna.create_study())
    broken = optuna.create_study()
    suggest(config, 2, broken)
    assert suggest(config, 4, broken) == whole
    assert len({str(params) for params in whole}) > 2


def test_the_grid_tries_every_point_once_and_a_longer_sweep_is_cut_to_it(tmp_path: Path) -> None:
    config = sweep(tmp_path, sampler="grid", space=GRID, trials=50)
    assert check_sampler(config) == 6
    seen = suggest(config, 6, optuna.create_study())
    assert {(params["dropout"], params["dense_units"]) for params in seen} == {
        (rate, units) for rate in GRID["dropout"] for units in GRID["dense_units"]
    }
    assert check_sampler(sweep(tmp_path, sampler="grid", space=GRID, trials=4)) == 4
    assert check_sampler(sweep(tmp_path, sampler="tpe", trials=50)) == 50


def test_a_grid_of_a_range_without_points_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"space\.learning_rate: the grid sampler needs `points`"):
        check_sampler(sweep(tmp_path, sampler="grid"))


def test_seeds_differ_by_sweep_trial_and_purpose() -> None:
    seeds = {trial_seed(sweep, trial, purpose) for sweep in (0, 1) for trial in (0, 1) for purpose in ("a", "b")}
    assert len(seeds) == 8 and all(0 <= seed < 2**32 for seed in seeds)
    assert trial_seed(0, 0, "a") == trial_seed(0, 0, "a")
