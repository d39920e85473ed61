"""Sweeps and resumes by the commands' own functions, with real files and checkpoints; Ray and the training are played.

A trial's results depend on the state in its checkpoint, so that one that begins from another trial's is seen.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from ray.tune.search import Searcher
from ray.tune.utils import flatten_dict

from search.callbacks.checkpoints import KeepBestCheckpoints
from search.callbacks.epoch_log import EpochLog
from search.callbacks.still_there import StillThere
from search.callbacks.took import Took
from search.config.schema import SweepConfig
from search.resume import resume_sweep
from search.stopping.rules import RuleReplay, make_rule
from search.study.storage import opened_storage
from search.study.study import load_study
from search.sweep import SweepDriver, run_sweep
from search.tune.observers import ObserverCallback
from search.tune.resources import Share
from search.tune.scheduler import StudyScheduler
from search.tune.searcher import StudySearch
from search.tune.state import SweepState
from tests.search_tests.synthetic import curve
from tests.search_tests.tune_loop import FakeTrial
from trainables.files.experiment import BEST_FILE, EPOCHS_FILE, SWEEP_FILE, trial_folder
from trainables.training.checkpoint import Checkpoints

REPORTED = ("val_accuracy", "val_loss", "val_cross_entropy", "train_loss")


def begin_or_go_on(config: SweepConfig) -> None:
    """What a person does: `resume` where there is a sweep file, `run` where there is none."""
    folder = Path(config.experiment)
    with played():
        if (folder / SWEEP_FILE).is_file():
            resume_sweep(folder)
        else:
            run_sweep(config)


def outcome(config: SweepConfig) -> dict[str, Any]:
    """All that a sweep found, without times and places."""
    folder = Path(config.experiment)
    with opened_storage(folder) as storage:
        study = load_study(config.name, storage)
        assert study is not None
        trials = study.get_trials()
    found = {
        trial.number: (trial.state.name, trial.params, trial.intermediate_values, trial.user_attrs["stop"])
        for trial in trials
    }
    epochs = {
        trial.number: (trial_folder(folder, trial.number) / EPOCHS_FILE).read_text().count("\n") for trial in trials
    }
    return {"trials": found, "epochs": epochs, "best": (folder / BEST_FILE).read_text().replace(" ", "")}


@contextmanager
def played() -> Iterator[None]:
    @contextmanager
    def no_ray(_: str | None) -> Iterator[list[Any]]:
        yield []

    share = (Share(1, 1, 0.0), None)
    with ExitStack() as stack:
        for module in ("search.sweep", "search.resume"):
            stack.enter_context(mock.patch(f"{module}.ray_session", no_ray))
            stack.enter_context(mock.patch(f"{module}.allocate", lambda *_: share))
        stack.enter_context(mock.patch("search.sweep.cluster_grows", lambda: False))
        # It loads all of Optuna's migrations, a third of the time of a short resume.
        versions = "optuna.storages._rdb.storage._VersionManager.check_table_schema_compatibility"
        stack.enter_context(mock.patch(versions, lambda _: None))
        stack.enter_context(mock.patch("search.sweep.check_starting_weights", lambda *_: None))
        stack.enter_context(mock.patch("search.sweep._fit", _fit))
        yield


def _fit(driver: SweepDriver, searcher: StudySearch, state: SweepState, trials: int, probe: object, took: Took) -> None:
    """As search/sweep.py's, one trial after the other, in Ray Tune's order of calls."""
    config, folder = driver.plan.config, driver.plan.experiment
    watching = [
        StillThere(folder, state),
        EpochLog(folder),
        KeepBestCheckpoints(folder, config.mode, config.keep_checkpoints),
        took,
    ]
    for observer in watching:
        observer.restore(searcher.study.get_trials(deepcopy=False))
    callback = ObserverCallback(watching, config.metric, state)
    rule = make_rule(config.early_stopping, config.max_epochs, config.mode, config.seed)
    RuleReplay(searcher.study, rule).replay()
    scheduler = StudyScheduler(config, rule, state)
    callback.setup()
    for number in range(trials):
        settings = searcher.suggest(f"ray_{number}")
        if settings == Searcher.FINISHED:
            break
        assert isinstance(settings, dict)
        trial = FakeTrial(settings, f"ray_{number}")
        scheduler.on_trial_add(None, trial)
        callback.on_trial_start(0, [], trial)
        for told in _epochs(settings):
            trial.last_result = {**told, "config": settings, "hostname": "here"}
            result = flatten_dict(trial.last_result)
            if told.get("done"):
                scheduler.on_trial_complete(None, trial, result)
            elif scheduler.on_trial_result(None, trial, result) != "STOP":
                searcher.on_trial_result(trial.trial_id, result)
                callback.on_trial_result(0, [], trial, result)
                continue
            callback.on_trial_result(0, [], trial, result)
            searcher.on_trial_complete(trial.trial_id, result)
            callback.on_trial_complete(0, [], trial)
            break
    callback.on_experiment_end([])


def _epochs(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """As trainables/trial.py reports: first what the driver has not heard of, then what is trained."""
    run, values = settings["run"], curve(settings)
    checkpoints = Checkpoints(run.checkpoint_dir, run.checkpoint_every)
    found, _ = checkpoints.newest()
    results = [*found.earlier, found.result] if found else []
    weights = found.state["weights"] if found else np.zeros(4)
    yield from found.unheard(run.known_epochs) if found else ()
    for epoch in range((found.epoch if found else 0) + 1, len(values) + 1):
        weights = _trained(weights, settings, epoch)
        value = values[epoch - 1] + 1e-3 * math.sin(float(weights[0]))
        result = {"epoch": epoch, "val_macro_f1": value, **dict.fromkeys(REPORTED, value / 2)}
        if epoch == len(values):
            result |= {"done": True, "stop_kind": "max_epochs", "stop_reason": f"ran all {epoch} epochs"}
        if checkpoints.due(result):
            checkpoints.write({"weights": weights}, result, results)
        results.append(result)
        yield result


def _trained(weights: np.ndarray, settings: dict[str, Any], epoch: int) -> np.ndarray:
    key = f"{weights.tolist()}/{settings['seed']}/{settings['learning_rate']}/{settings['dropout']}/{epoch}"
    drawn = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])
    return np.asarray(np.random.default_rng(drawn).normal(size=4))
