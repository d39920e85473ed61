"""Run a sweep: check everything, start Ray, let Tune run the trials, hand the best one over."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from ray import tune

from search.budget_watch import WatchBudget, check_budget
from search.checkpoints import KeepBestCheckpoints
from search.config import SweepConfig
from search.control import Control, Stop
from search.epoch_log import EpochLog
from search.failure import trial_number
from search.forgetting import ForgetEndedTrials
from search.outcome import hand_over
from search.plan import Plan
from search.progress import Progress
from search.provenance import provenance
from search.ray_session import ray_session
from search.resources import Share, share
from search.rules import make_rule
from search.samplers import check_sampler
from search.scheduler import EndWhenAsked, StudyScheduler
from search.searcher import StudySearch
from search.space import Choices, Range
from search.study import close_open_trials, close_storage, open_storage
from search.sweep_file import dump_sweep
from search.tensorboard import TensorBoardRuns
from search.warm_start import describe, gather, write_warm_start
from trainables.backbones import check_image_size, check_weights
from trainables.config import TrialConfig
from trainables.dataset import open_dataset
from trainables.errors import SweepError
from trainables.handoff import Handoff, write_json


def run_sweep(config: SweepConfig, trainable: type[tune.Trainable] | None = None) -> Handoff:
    """Run a sweep to its end and return the best configuration, which is in best.json too.

    Args:
        config: the sweep, with absolute paths (as `read_sweep` gives it).
        trainable: a class as `trainables.trial.FineTuneTrial`, which is the default.

    Raises:
        SweepError: the dataset has no marker, the experiment's folder holds another run, a file or the cluster is
            missing, the metric is not reported, or no trial came to a result.
    """
    started = time.monotonic()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fingerprint = _check(config)
    config = config.model_copy(update={"trials": check_sampler(config)})
    earlier = gather(config, fingerprint) if config.warm_start else None
    with ray_session(config.address) as nodes:
        part = share(config.resources, nodes)
        plan, control = Plan(config, part.threads), Control()
        check_budget(config.budget, part.gpus)
        _begin(plan, fingerprint)
        if earlier is not None:
            write_warm_start(earlier, plan.experiment)
            print(*(describe(source) for source in earlier["sources"]), sep="\n", flush=True)
        with _study_database(plan) as storage:
            searcher = StudySearch(plan, control, storage)
            try:
                _fit(trainable or _fine_tune_trial(), plan, part, searcher, control)
            finally:
                because = _close(searcher.study, config, control)
            if control.error is not None:
                raise control.error
            return hand_over(searcher.study, config, fingerprint, because, time.monotonic() - started)


def _check(config: SweepConfig) -> str:
    """Refuse what would fail later, and return the dataset's fingerprint."""
    experiment = Path(config.experiment)
    if experiment.exists() and (not experiment.is_dir() or any(experiment.iterdir())):
        raise SweepError(f"experiment: {experiment} holds another run; choose an empty or a new folder")
    for weights in _weights(config):
        check_weights(weights)
    for backbone in _searched_or_fixed(config, "backbone"):
        for image_size in _searched_or_fixed(config, "image_size"):
            check_image_size(backbone, image_size)
    return open_dataset(Path(config.dataset)).fingerprint


def _weights(config: SweepConfig) -> list[str]:
    specs = _searched_or_fixed(config, "weights")
    return [one for spec in specs for one in (spec.values() if isinstance(spec, dict) else [spec])]


def _searched_or_fixed(config: SweepConfig, name: str) -> list[Any]:
    """Every value that a knob may take in this sweep: its choices, the ends of its range, or the one it is fixed to."""
    knob = config.space.get(name)
    if isinstance(knob, Choices):
        return list(knob.values)
    if isinstance(knob, Range):
        return [int(knob.low), int(knob.high)]
    return [getattr(TrialConfig.model_validate(config.trial), name)]


def _begin(plan: Plan, fingerprint: str) -> None:
    """Make the experiment's folder, with what says how it came to be."""
    config = plan.config
    plan.experiment.mkdir(parents=True, exist_ok=True)
    (plan.experiment / "sweep.yaml").write_text(dump_sweep(config))
    write_json(provenance(config.seed, config.dataset, fingerprint), plan.experiment / "provenance.json")


def _fit(trainable: type[tune.Trainable], plan: Plan, part: Share, searcher: StudySearch, control: Control) -> None:
    """Let Ray Tune run the trials until they are done or `control` ends them."""
    config = plan.config
    callbacks = _callbacks(plan, part, control)
    rule = make_rule(config.early_stopping, config.max_epochs, config.mode, config.seed)
    tuner = tune.Tuner(
        tune.with_resources(trainable, part.as_ray()),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StudyScheduler(config, rule, control),
            num_samples=config.trials,
            max_concurrent_trials=part.concurrent,
            # Warm workers: TensorFlow is imported once per worker, not once per trial.
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(plan.experiment),
            stop=EndWhenAsked(control),
            failure_config=tune.FailureConfig(max_failures=config.max_failures),
            # The newest one only: it serves the retry of a lost worker. Stock Ray keeps every checkpoint.
            checkpoint_config=tune.CheckpointConfig(
                num_to_keep=1, checkpoint_frequency=config.checkpoint_every, checkpoint_at_end=False
            ),
            callbacks=callbacks,
            verbose=0,
        ),
    )
    with _ctrl_c(control):
        try:
            tuner.fit()
        except Exception:
            # Ray wraps what the scheduler found wrong into its own error; the plain one is in `control`.
            if control.error is None:
                raise
        finally:
            # Ray does so itself, but not after a second Ctrl-C, which must leave the terminal as it was too.
            for callback in callbacks:
                callback.on_experiment_end([])


def _callbacks(plan: Plan, part: Share, control: Control) -> list[tune.Callback]:
    config = plan.config
    callbacks = [
        EpochLog(plan.experiment, control),
        KeepBestCheckpoints(plan.experiment, config.mode, config.keep_checkpoints, control),
        TensorBoardRuns(plan.experiment, config.metric, list(config.space), control),
        Progress(config, part.concurrent, control),
        ForgetEndedTrials(),
    ]
    if config.budget.limited:
        callbacks.append(WatchBudget(config, part.gpus, control))
    return callbacks


def _close(study: optuna.Study, config: SweepConfig, control: Control) -> str:
    """End the trials that were still running, and say why the sweep ended."""
    stop = control.ending or Stop("failed", None, str(control.error or "the sweep ended under it"))
    control.outcomes |= close_open_trials(study, stop, config.mode)
    return control.ending.reason if control.ending else control.finished or "all trials ended"


@contextmanager
def _study_database(plan: Plan) -> Iterator[optuna.storages.RDBStorage]:
    storage = open_storage(plan.experiment)
    try:
        yield storage
    finally:
        close_storage(storage)


@contextmanager
def _ctrl_c(control: Control) -> Iterator[None]:
    """Ctrl-C once ends the sweep cleanly; twice is the ordinary KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def end(*_: Any) -> None:
        control.end("interrupted", "stopped by Ctrl-C")
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _trial_name(trial: Any) -> str:
    return f"trial_{trial_number(trial):04d}"


def _fine_tune_trial() -> type[tune.Trainable]:
    from trainables.trial import FineTuneTrial

    trial: type[tune.Trainable] = FineTuneTrial
    return trial
