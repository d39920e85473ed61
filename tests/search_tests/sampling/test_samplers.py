"""search/sampling/samplers.py: suggestions follow from the record and the seed alone."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import GPSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from search.config.registry import SAMPLERS
from search.config.schema import SweepConfig
from search.config.seeds import trial_seed
from search.config.space import distributions
from search.sampling import samplers
from search.sampling.samplers import check_sampler, make_sampler
from search.sampling.suggestions import begin
from search.sampling.suggestions import suggest as suggest_one
from tests.checkout import ROOT
from tests.search_tests.example import sweep
from tests.search_tests.gp import check_installed
from trainables.errors import UserError

GRID = {"dropout": [0.0, 0.5], "dense_units": [128, 256, 512]}


def suggest(config: SweepConfig, trials: int, study: optuna.Study) -> list[dict[str, float]]:
    """Go on with a study for some trials, as a new process would."""
    for _ in range(trials):
        study.sampler = make_sampler(config, len(study.trials))
        trial = study.ask(fixed_distributions=distributions(config.space))
        study.tell(trial, trial.params["dropout"])
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize(
    ("name", "kind"), [("tpe", TPESampler), ("random", RandomSampler), ("grid", GridSampler), ("gp", GPSampler)]
)
def test_the_name_chooses_the_sampler(tmp_path: Path, name: str, kind: type[optuna.samplers.BaseSampler]) -> None:
    check_installed(name)
    assert isinstance(make_sampler(sweep(tmp_path, sampler=name, space=GRID), 0), kind)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_taken_up_again_suggests_what_one_without_a_break_would(tmp_path: Path, sampler: str) -> None:
    check_installed(sampler)
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


SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
    "unfrozen_layers": {"low": 0, "high": 60, "step": 20},
    "optimizer": ["adam", "adamw", "sgd"],
}
RATE = {"learning_rate": SPACE["learning_rate"]}


def score(params: dict[str, Any]) -> float:
    """Best, 1, at learning rate 1e-3, dropout 0.3 and adamw."""
    far = 0.1 * (math.log10(params["learning_rate"]) + 3) ** 2
    return 1 - far - (params.get("dropout", 0.3) - 0.3) ** 2 - 0.2 * (params.get("optimizer", "adamw") != "adamw")


def play(
    config: SweepConfig, trials: int, judge: Callable[[dict[str, Any]], float] = score, stopped: bool = False
) -> list[FrozenTrial]:
    """Run a sweep's sampler as the searcher does; with `stopped`, all trials are stopped early."""
    study = optuna.create_study(direction="maximize" if config.mode == "max" else "minimize")
    for _ in range(trials):
        trial = begin(study, draw(config, study), {})
        trial.report(judge(trial.params), 1)
        ended = {"state": TrialState.PRUNED} if stopped else {"values": judge(trial.params)}
        study.tell(trial, **ended)
    return study.trials


def draw(config: SweepConfig, study: optuna.Study) -> FrozenTrial:
    trials = study.get_trials(deepcopy=False)
    sampler, space = make_sampler(config, len(trials)), distributions(config.space)
    reads_stopped = SAMPLERS[config.sampler].reads_stopped
    return suggest_one(study, sampler, trials, space, len(trials), reads_stopped=reads_stopped)


@pytest.mark.parametrize("stopped", [False, True])
def test_gp_finds_better_points_than_chance_and_stays_in_the_space(tmp_path: Path, stopped: bool) -> None:
    check_installed("gp")
    trials = {
        sampler: play(sweep(tmp_path, sampler=sampler, space=SPACE, seed=0), 14, stopped=stopped)
        for sampler in ("gp", "random")
    }
    learned, chance = ([score(trial.params) for trial in trials[sampler]] for sampler in ("gp", "random"))
    assert max(learned) > max(chance) + 0.01
    assert np.median(learned[-5:]) > np.median(chance) + 0.2
    knobs = distributions(sweep(tmp_path, space=SPACE).space)
    for trial in trials["gp"]:
        assert all(knob._contains(knob.to_internal_repr(trial.params[name])) for name, knob in knobs.items())


def test_gp_minimises_an_objective_that_is_to_be_low(tmp_path: Path) -> None:
    check_installed("gp")
    config = sweep(tmp_path, sampler="gp", space=RATE, metric="val_loss")
    late = play(config, 12, lambda params: -score(params))[-5:]
    assert np.median([abs(math.log10(trial.params["learning_rate"]) + 3) for trial in late]) < 0.5


def test_gp_counts_on_trials_that_run_beside(tmp_path: Path) -> None:
    """The same sampler, seed and results: what it suggests differs once one of its suggestions runs."""
    check_installed("gp")
    config = sweep(tmp_path, sampler="gp", space=SPACE, startup_trials=4)
    study = optuna.create_study(direction="maximize")
    for trial in play(config, 8):
        study.add_trial(trial)
    sampler = make_sampler(config, 8)
    drawn = suggest_one(study, sampler, study.trials, distributions(config.space), 8)
    first = begin(study, drawn, {})
    again = suggest_one(study, make_sampler(config, 8), study.trials, distributions(config.space), 9)
    assert first.params != again.params
    assert not study.trials[8].system_attrs, "what it shares stands in the knobs"


def test_gp_without_torch_is_one_line_with_status_2_and_nothing_written(tmp_path: Path) -> None:
    """In a process of its own in which torch cannot be found."""
    config = sweep(tmp_path)
    code = (
        "import sys, importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest)\n"
        "from search.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    settings = [f"dataset={config.dataset}", f"experiment={config.experiment}", "sampler=gp", "trial.weights=random"]
    given = ["run", "search/sweeps/default.yaml", *(part for setting in settings for part in ("--set", setting))]
    done = subprocess.run([sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    line = "error: sampler: gp needs torch, which is not installed: pip install -r requirements-gp.txt\n"
    assert done.stderr == line
    assert not Path(config.experiment).exists()


def test_every_entry_names_a_function_of_the_module() -> None:
    assert {kind.build for kind in SAMPLERS.values()} == {f"{samplers.__name__}:{name}" for name in SAMPLERS}
    assert all(callable(getattr(samplers, name)) for name in SAMPLERS)


def test_seeds_differ_by_sweep_trial_and_purpose() -> None:
    seeds = {trial_seed(sweep, trial, purpose) for sweep in (0, 1) for trial in (0, 1) for purpose in ("a", "b")}
    assert len(seeds) == 8 and all(0 <= seed < 2**32 for seed in seeds)
    assert trial_seed(0, 0, "a") == trial_seed(0, 0, "a")
