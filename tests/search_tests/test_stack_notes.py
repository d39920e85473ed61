"""What the pinned stack does wrong at our seam, and that ours is right: one test for each of the team's notes.

Each test shows the stock behaviour first, so that it says at once when a pin moves and the note is out of date.
"""

import inspect
import math
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState
from ray import tune
from ray.tune.execution import tune_controller
from ray.tune.logger import TBXLoggerCallback
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

import search
from search.callbacks.tensorboard import TensorBoardRuns
from search.config.registry import SAMPLERS
from search.config.schema import EarlyStopping, SweepConfig
from search.config.space import distributions, parse_space
from search.records import Experiment
from search.sampling.samplers import make_sampler
from search.stopping.rules import HalvingRule, RuleReplay, make_rule
from search.study.storage import open_storage
from search.study.study import best_value, create_study
from search.tune.observers import EpochResult, observed
from tests.checkout import ROOT
from tests.checkpoint_files import generations
from tests.search_tests.event_files import read_events
from tests.search_tests.example import sweep
from tests.search_tests.gp import check_installed
from tests.search_tests.tune_loop import FakeTrial, PlayedSweep
from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.files.experiment import run_folder
from trainables.training.checkpoint import epoch_of

RATE = {"rate": FloatDistribution(0.0, 1.0)}
CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


def stock_asha(**settings: Any) -> AsyncHyperBandScheduler:
    return AsyncHyperBandScheduler("epoch", "score", "max", **{"max_t": 9, "reduction_factor": 3, **settings})


def stock_results(asha: AsyncHyperBandScheduler, *reports: tuple[int, int, float]) -> list[str]:
    """Hand (trial, epoch, score) to the stock scheduler."""
    decisions = []
    for number, epoch, score in reports:
        trial = SimpleNamespace(trial_id=str(number))
        if trial.trial_id not in asha._trial_info:
            asha.on_trial_add(None, trial)
        decisions.append(asha.on_trial_result(None, trial, {"epoch": epoch, "score": score}))
    return decisions


def stock_search(**settings: Any) -> OptunaSearch:
    return OptunaSearch(RATE, metric="score", mode="max", **settings)


def ours(tmp_path: Path, **changes: Any) -> tuple[PlayedSweep, FakeTrial]:
    """A sweep of ours with its first trial suggested."""
    game = PlayedSweep(sweep(tmp_path, **changes))
    config = game.searcher.suggest("a")
    assert config is not None
    return game, FakeTrial(config, "a")


def halving(**changes: Any) -> HalvingRule:
    return HalvingRule(EarlyStopping.model_validate(changes), 9, "max", 0)


def test_note_1_a_nan_metric_stops_the_trial_at_once(tmp_path: Path) -> None:
    good = [(number, 1, 0.5) for number in range(5)]
    assert stock_results(stock_asha(), *good, (9, 1, math.nan)) == [CONTINUE] * 6
    game, trial = ours(tmp_path)
    assert game.report(trial, 1, math.nan)
    assert game.sweep_state.stops[0].kind == "diverged"


def test_note_2_a_trial_that_ends_with_nan_has_ended_with_its_reason_and_is_not_running_for_ever(
    tmp_path: Path,
) -> None:
    stock = stock_search()
    stock.suggest("a")
    stock.on_trial_complete("a", {"score": math.nan})
    assert stock._ot_study.trials[0].state == TrialState.RUNNING
    game, trial = ours(tmp_path)
    game.report(trial, 1, 0.5)
    game.report(trial, 2, math.nan, last=True)
    reported = game.searcher.study.trials[0]
    assert reported.state == TrialState.PRUNED and best_value(reported) is None
    assert reported.user_attrs["stop"]["kind"] == "diverged" and reported.intermediate_values == {1: 0.5}


def test_note_3_a_trial_that_asha_stopped_is_pruned_with_its_last_value(tmp_path: Path) -> None:
    stock = stock_search()
    stock.suggest("a")
    stock.on_trial_complete("a", {"score": 0.1, "training_iteration": 1})
    assert (stock._ot_study.trials[0].state, stock._ot_study.trials[0].intermediate_values) == (TrialState.COMPLETE, {})
    game = PlayedSweep(sweep(tmp_path, trials=12, seed=7))
    pruned = [trial for trial in game.play() if trial.state == TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        stop = trial.user_attrs["stop"]
        assert trial.intermediate_values[stop["epoch"]] == trial.value
        assert {"rung", "value", "cutoff", "competed"} <= stop.keys()


def test_note_4_a_trial_tried_again_after_a_failure_keeps_its_later_score(faulty: Experiment) -> None:
    stock = stock_search()
    stock.suggest("a")
    stock.on_trial_complete("a", error=True)
    stock.on_trial_complete("a", {"score": 0.9})
    assert (stock._ot_study.trials[0].state, stock._ot_study.trials[0].value) == (TrialState.FAIL, None)
    # In a sweep of ours through the real Ray, trial 2 lost its worker at epoch 2 and was tried again.
    assert (Path(faulty.folder) / "trials" / "0002" / "killed").exists()
    assert faulty.trials[2].state == "COMPLETE" and sorted(faulty.trials[2].values) == [1, 2, 3, 4]


def test_note_5_a_trial_that_ray_gives_a_new_id_is_still_the_same_optuna_trial(tmp_path: Path) -> None:
    stock = stock_search()
    stock.suggest("a")
    with pytest.raises(KeyError):
        stock.on_trial_result("restarted", {"score": 0.1, "training_iteration": 1})
    game, trial = ours(tmp_path)
    trial.trial_id = "restarted"
    game.report(trial, 1, 0.4)
    game.report(trial, 2, 0.6, last=True)
    assert game.searcher.study.trials[0].value == 0.6


def test_note_6_rungs_are_rebuilt_from_the_study_which_ray_does_not_do(tmp_path: Path) -> None:
    source = inspect.getsource(tune_controller)
    assert not re.search(r"_scheduler_alg\.(save|restore)\(", source)
    game = PlayedSweep(sweep(tmp_path, trials=15, seed=2, early_stopping={"kind": "asha", "brackets": 2}))
    game.play(beside=3)
    rebuilt = make_rule(game.config.early_stopping, 9, "max", game.config.seed)
    RuleReplay(game.searcher.study, rebuilt).replay()
    assert isinstance(rebuilt, HalvingRule) and isinstance(game.rule, HalvingRule)
    assert rebuilt.results == game.rule.results and len(rebuilt.results) > 1


def test_note_7_two_sweeps_never_share_a_study(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    for name in ("a", "b"):
        stock_search(storage=storage).suggest(name)
    assert [summary.n_trials for summary in optuna.get_all_study_summaries(storage)] == [2]
    config = sweep(tmp_path)
    PlayedSweep(config, storage=storage)
    with pytest.raises(UserError, match="the study 'test' exists in this storage"):
        PlayedSweep(config, storage=storage)


def test_note_8_a_searcher_made_again_with_the_same_seed_does_not_replay_its_suggestions(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    first, again = (stock_search(storage=storage, seed=1).suggest(name) for name in ("a", "b"))
    assert first == again
    config = sweep(tmp_path, seed=1)
    study = create_study("ours", "max", open_storage(tmp_path))
    params = []
    for _ in range(4):
        study.sampler = make_sampler(config, len(study.trials))  # As a new process would make it.
        params.append(study.ask(fixed_distributions=distributions(config.space)).params)
    assert len({str(suggestion) for suggestion in params}) == 4


def test_note_9_a_rung_stops_nobody_before_enough_results_are_there() -> None:
    assert stock_results(stock_asha(), (0, 1, 0.9), (1, 1, 0.8)) == [CONTINUE, STOP]
    rule = halving(min_results=3)
    assert [rule.judge(number, 1, 0.9 - number / 10) is None for number in range(4)] == [True, True, True, False]


def test_note_10_skipped_reports_fill_the_rungs_they_passed(tmp_path: Path) -> None:
    asha = stock_asha()
    stock_results(asha, (0, 5, 0.4))
    assert {milestone: len(filled) for milestone, filled in asha._brackets[0]._rungs} == {9: 0, 3: 1, 1: 0}
    rule = halving()
    rule.judge(0, 5, 0.4)
    assert rule.results == {(0, 1): {0: 0.4}, (0, 3): {0: 0.4}}


def test_note_10_a_metric_or_clock_that_is_missing_ends_the_sweep(tmp_path: Path) -> None:
    asha, trial = stock_asha(), SimpleNamespace(trial_id="0")
    asha.on_trial_add(None, trial)
    assert asha.on_trial_result(None, trial, {"epoch": 1, "scoer": 0.1}) == CONTINUE
    game, ours_trial = ours(tmp_path)
    assert game.scheduler.on_trial_result(None, ours_trial, {"epoch": 1, "val_loss": 0.1}) == STOP
    assert isinstance(game.sweep_state.error, UserError)


def test_note_11_checkpoints_of_the_running_and_the_best_trials_are_all_that_stays(faulty: Experiment) -> None:
    assert tune.CheckpointConfig().num_to_keep is None, "stock: all of them"
    with pytest.raises(ValueError, match="integer >= 1"):
        tune.CheckpointConfig(num_to_keep=0)
    # Eight trials with a checkpoint after every epoch; at the end those of the best one are left.
    assert faulty.sweep["checkpoint_every"] == 1 and faulty.best is not None
    left = {folder.name: generations(folder) for folder in (faulty.folder / "trials").iterdir()}
    assert [name for name, files in left.items() if files] == [f"{faulty.best.trial:04d}"]
    assert [epoch_of(file) for file in left[f"{faulty.best.trial:04d}"]] == [4, 3]
    assert not list((faulty.folder / "ray").rglob("checkpoint_*")), "Ray keeps none beside them"


def test_note_12_hparams_survive_a_killed_driver_and_hold_the_best_value(tmp_path: Path) -> None:
    config = {**TrialConfig(learning_rate=0.01).model_dump(), "run": {"trial": 0}}
    results = [{"epoch": epoch, "val_macro_f1": value} for epoch, value in enumerate([0.7, 0.4], start=1)]
    trial = FakeTrial(config)
    trial.local_path, trial.init_local_path = str(tmp_path / "stock"), lambda: None
    trial.evaluated_params = {"learning_rate": 0.01}
    stock, runs = TBXLoggerCallback(), TensorBoardRuns(tmp_path, "val_macro_f1", ["learning_rate"])
    stock.log_trial_start(trial)
    runs.began(observed(trial))
    for result in results:
        stock.log_trial_result(0, trial, {**result, "training_iteration": result["epoch"]})
        runs.epoch(observed(trial), EpochResult(result["epoch"], result["val_macro_f1"], result))
    # Neither is closed: this is what a killed driver leaves.
    assert not _hparams_tags(tmp_path / "stock")
    assert _hparams_tags(run_folder(tmp_path, 0)) == {"_hparams_/experiment", "_hparams_/session_start_info"}
    events = read_events(run_folder(tmp_path, 0))
    assert [point.value for point in events.Scalars("best_val_macro_f1")] == pytest.approx([0.7, 0.7])
    stock.log_trial_end(trial)


def test_note_18_upper_bounds_are_included() -> None:
    assert OptunaSearch.convert_search_space({"layers": tune.randint(0, 62)}) == {"layers": IntDistribution(0, 61)}
    space = distributions(parse_space({"unfrozen_layers": {"low": 0, "high": 2}}))
    assert space == {"unfrozen_layers": IntDistribution(0, 2)}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert {study.ask(fixed_distributions=space).params["unfrozen_layers"] for _ in range(30)} == {0, 1, 2}


def test_note_21_the_tests_do_not_shadow_the_package_search(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "__init__.py").write_text("REAL = True\n")
    (tmp_path / "tests" / "search").mkdir(parents=True)
    (tmp_path / "tests" / "search" / "__init__.py").touch()
    test = "def test_it():\n    import search\n    assert search.REAL\n"
    (tmp_path / "tests" / "search" / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    shadowed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert shadowed.returncode == 1 and "has no attribute 'REAL'" in shadowed.stdout
    assert Path(str(search.__file__)).parent == ROOT / "search"
    assert (ROOT / "tests" / "__init__.py").exists() and not (ROOT / "tests" / "search").exists()


@pytest.mark.parametrize("sampler", [name for name, kind in SAMPLERS.items() if not kind.grid])
def test_note_22_nothing_that_optuna_5_has_deprecated_is_used(tmp_path: Path, sampler: str) -> None:
    check_installed(sampler)
    parameters = inspect.signature(optuna.storages.RDBStorage).parameters
    assert "heartbeat_stale_trial_callback" in parameters
    for file in (ROOT / "search").rglob("*.py"):
        assert not re.search(r"optuna\.terminator|\bfailed_trial_callback|RetryFailedTrial", file.read_text()), file
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config: SweepConfig = sweep(tmp_path / sampler, sampler=sampler, trials=7, startup_trials=3)
        PlayedSweep(config, storage=optuna.storages.InMemoryStorage()).play()
        open_storage(tmp_path)


def _hparams_tags(folder: Path) -> set[str]:
    return {tag for tag in read_events(folder).summary_metadata if tag.startswith("_hparams_")}
