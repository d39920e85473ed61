"""search/tune/searcher.py: what reaches the study."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from search.results import front_trials
from search.study.study import state_of
from search.study.trial_end import Stop
from search.tune.searcher import StudySearch
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import model_mb
from tests.search_tests.tune_loop import FakeTrial, PlayedSweep
from trainables.config import TrialConfig


@pytest.fixture
def game(tmp_path: Path) -> PlayedSweep:
    return PlayedSweep(sweep(tmp_path, seed=4))


def begin(game: PlayedSweep, trial_id: str = "a") -> FakeTrial:
    config = game.searcher.suggest(trial_id)
    assert isinstance(config, dict)
    return FakeTrial(config, trial_id)


def only(game: PlayedSweep) -> optuna.trial.FrozenTrial:
    (trial,) = game.searcher.study.trials
    return trial


def test_a_suggestion_is_the_whole_configuration_and_is_in_the_study(game: PlayedSweep) -> None:
    config = game.searcher.suggest("a")
    assert isinstance(config, dict)
    run = config.pop("run")
    trial = only(game)
    checked = TrialConfig.model_validate(config)
    assert trial.user_attrs["config"] == checked.model_dump()
    assert trial.user_attrs["seed"] == checked.seed and checked.sweep_seed == 4
    assert {name: config[name] for name in trial.params} == trial.params
    assert run.trial == trial.number == 0 and run.plan == (0, 31, 62)
    assert Path(run.checkpoint_dir) == Path(game.config.experiment) / "trials" / "0000"


def test_it_is_an_optuna_search_and_each_trial_has_its_own_seed(game: PlayedSweep) -> None:
    assert isinstance(game.searcher, OptunaSearch)
    seeds = [begin(game, name).config["seed"] for name in "abc"]
    assert len(set(seeds)) == 3


def test_the_value_is_the_best_epochs_not_the_last_ones(game: PlayedSweep) -> None:
    trial = begin(game)
    for epoch, value in enumerate([0.2, 0.6, 0.5], start=1):
        game.report(trial, epoch, value, last=epoch == 3)
    reported = only(game)
    assert (reported.state, reported.value, reported.user_attrs["best_epoch"]) == (TrialState.COMPLETE, 0.6, 2)
    assert reported.intermediate_values == {1: 0.2, 2: 0.6, 3: 0.5}
    assert reported.user_attrs["host"] == "here" and reported.user_attrs["seconds"] >= 0


@pytest.mark.parametrize(("value", "values"), [(math.nan, {}), (0.01, {2: 0.01})])
def test_a_loss_that_is_not_finite_is_told_as_a_bad_end_with_its_reason(
    game: PlayedSweep, value: float, values: dict[int, float]
) -> None:
    """Also where the objective is finite: macro F1 of predictions that are NaN is."""
    trial = begin(game)
    result = {"epoch": 2, "val_macro_f1": value, "done": True, "stop_kind": "failed", "stop_reason": "loss was nan"}
    game.scheduler.on_trial_complete(None, trial, result)
    game.searcher.on_trial_complete(trial.trial_id, {**result, "config/run": trial.config["run"]})
    reported = only(game)
    assert (reported.state, reported.intermediate_values) == (TrialState.PRUNED, values)
    assert reported.user_attrs["stop"] == {"kind": "diverged", "epoch": 2, "reason": "loss was nan"}
    assert game.sweep_state.trial_ends[0].shown == "DIVERGED" and game.sweep_state.trial_ends[0].result is None


def test_early_stopping_of_the_trials_own_is_complete(game: PlayedSweep) -> None:
    trial = begin(game)
    result: dict[str, Any] = {"epoch": 1, "val_macro_f1": 0.3, "done": True, "config/run": trial.config["run"]}
    game.searcher.on_trial_complete("a", {**result, "stop_kind": "early_stopping", "stop_reason": "no better"})
    assert only(game).state == TrialState.COMPLETE
    assert only(game).user_attrs["stop"] == {"kind": "early_stopping", "epoch": 1, "reason": "no better"}


def test_a_trial_that_never_reported_is_fail(game: PlayedSweep) -> None:
    begin(game)
    game.searcher.on_trial_complete("a", None)
    assert (only(game).state, only(game).value) == (TrialState.FAIL, None)


def test_epochs_passed_again_after_a_lost_worker_are_reported_once(game: PlayedSweep) -> None:
    trial = begin(game)
    for epoch, value in [(1, 0.2), (2, 0.3), (1, 0.9), (2, 0.3), (3, 0.4)]:
        game.report(trial, epoch, value)
    assert only(game).intermediate_values == {1: 0.2, 2: 0.3, 3: 0.4}


def test_what_the_trainable_says_of_its_weights_and_device_is_kept(game: PlayedSweep) -> None:
    trial = begin(game)
    result = {"epoch": 1, "val_macro_f1": 0.3, "device": "H100", "host": "node7", "weights/kind": "random"}
    game.searcher.on_trial_result("a", {**result, "config/run": trial.config["run"]})
    game.searcher.on_trial_complete("a", {"epoch": 1, "val_macro_f1": 0.3, "done": True})
    attrs = only(game).user_attrs
    assert (attrs["device"], attrs["host"], attrs["weights"]) == ("H100", "node7", {"kind": "random"})


def test_the_schedulers_reason_is_told_and_a_second_end_is_ignored(game: PlayedSweep) -> None:
    trial = begin(game)
    game.report(trial, 1, 0.2)
    game.sweep_state.stops[0] = Stop("asha", 1, "too low", rung=1, value=0.2, cutoff=0.3, competed=5)
    for _ in range(2):
        game.searcher.on_trial_complete("a", {"epoch": 1, "val_macro_f1": 0.2, "done": True})
    reported = only(game)
    assert (reported.state, reported.value) == (TrialState.PRUNED, 0.2)
    assert reported.user_attrs["stop"] == {
        "kind": "asha", "epoch": 1, "reason": "too low", "rung": 1, "value": 0.2, "cutoff": 0.3, "competed": 5
    }  # fmt: skip
    assert game.sweep_state.trial_ends[0].state == "PRUNED"


def test_nothing_is_suggested_once_the_sweep_is_to_end(game: PlayedSweep) -> None:
    game.sweep_state.end("interrupted", "stopped by Ctrl-C")
    assert game.searcher.suggest("a") == Searcher.FINISHED
    assert game.searcher.study.trials == []


def test_it_keeps_nothing_of_a_trial_that_has_ended(tmp_path: Path) -> None:
    game = PlayedSweep(sweep(tmp_path, trials=5))
    game.play()
    assert isinstance(game.searcher, StudySearch)
    assert game.searcher._open == {} and game.searcher._ot_trials == {} and game.searcher._completed_trials == set()
    assert game.searcher._numbers == {}


@pytest.mark.parametrize("objectives", [[], ["val_macro_f1", "model_mb"]])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("stopping", ["asha", "median", "none"])
def test_a_model_that_costs_too_much_ends_with_its_first_epoch_and_is_never_the_result(
    tmp_path: Path, objectives: list[str], sampler: str, stopping: str
) -> None:
    space = {"dense_units": [32, 64, 256], "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    most = (model_mb({"dense_units": 64}) + model_mb({"dense_units": 256})) / 2
    config = sweep(
        tmp_path,
        trials=24,
        space=space,
        sampler=sampler,
        objectives=objectives,
        constraints={"model_mb": most},
        early_stopping={"kind": stopping},
    )
    game = PlayedSweep(config)
    trials = game.play()
    large = [trial for trial in trials if trial.params["dense_units"] == 256]
    assert len(trials) == 24
    for trial in trials:
        above = model_mb(trial.params) - most
        assert trial.constraints == {"model_mb": pytest.approx(above)}
        assert (state_of(trial) == "INFEASIBLE") == (above > 0) == (trial in large)
        assert ("cost" in trial.user_attrs) == bool(objectives)
    for trial in large:
        stop = trial.user_attrs["stop"]
        assert (trial.state, trial.intermediate_values, stop["epoch"]) == (TrialState.PRUNED, {}, 1)
        assert stop["reason"] == f"its model_mb is 89.30, and {most:g} is the most that is allowed"
    kept = front_trials(trials, config)
    assert kept and not any(trial in large for trial in kept)
    assert len(large) == 1, "a model that costs too much is known by its first trial"
    repeats = [value for key, value in game.searcher.study.user_attrs.items() if key.startswith("repeat:")]
    assert repeats and {repeat["reason"] for repeat in repeats} == {
        f"trial {large[0].number} has the same model, which costs too much"
    }


EXHAUSTED = (
    "the space is exhausted: 2 of its 4 different configurations were tried, and the model of the others costs too much"
)


def test_a_space_of_models_that_cost_too_much_is_exhausted_or_tried_an_epoch_each(tmp_path: Path) -> None:
    endless = {"dense_units": [32, 64], "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    for number, space in enumerate(({"dense_units": [32, 64], "unfrozen_layers": [0, 31]}, endless)):
        config = sweep(tmp_path, trials=6, space=space, sampler="random", constraints={"model_mb": 1})
        game = PlayedSweep(config)
        trials = game.play()
        assert {state_of(trial) for trial in trials} == {"INFEASIBLE"} and front_trials(trials, config) == []
        assert len(trials) == (2, 6)[number]
        assert game.sweep_state.finished == (None if number else EXHAUSTED)
