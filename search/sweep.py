"""Run of a sweep: checks, Ray, trials, results."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from ray import tune

from search.callbacks.budget import WatchBudget, check_budget
from search.callbacks.checkpoints import KeepBestCheckpoints
from search.callbacks.epoch_log import EpochLog
from search.callbacks.mirror import WakeMirror
from search.callbacks.progress import Progress
from search.callbacks.still_there import StillThere
from search.callbacks.tensorboard import TensorBoardRuns
from search.callbacks.took import Took
from search.config.cautions import cautions
from search.config.file import write_sweep
from search.config.schema import Budget, SweepConfig
from search.config.space import Choices, Range
from search.config.trial_plan import Plan, run_settings
from search.experiment.lease import driving
from search.experiment.mirror import Mirror, check_new, mirrored
from search.experiment.provenance import origin, provenance
from search.forecast.forecast import Forecast
from search.forecast.measure import plan_resources
from search.results import write_results
from search.sampling.samplers import check_sampler
from search.sampling.warm_start import describe, gather
from search.stopping.rules import RuleReplay, make_rule
from search.study.storage import opened_storage, sole_driver
from search.study.study import check_name, close_open_trials, open_study, open_trials, own_trials
from search.study.trial_end import Stop
from search.tune.autoscaling import cluster_grows, first_nodes
from search.tune.confirm import confirmed
from search.tune.failure import broken_off, how_to_go_on
from search.tune.gpus import nodes_with_usable_gpus
from search.tune.head import head_watched
from search.tune.interrupt import ctrl_c
from search.tune.lost_worker import lost_workers_end_no_sweep
from search.tune.observers import Observer, ObserverCallback
from search.tune.probe import probed
from search.tune.resources import Node, Share, share
from search.tune.scheduler import EndWhenAsked, StudyScheduler
from search.tune.searcher import StudySearch
from search.tune.session import ray_session
from search.tune.starting_weights import check_starting_weights
from search.tune.state import SweepState
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset, open_dataset_at
from trainables.device import fast_precision
from trainables.errors import UserError
from trainables.files.experiment import HOLDER_FILE, LOCK_FILE, PROVENANCE_FILE, RAY_FOLDER, WARM_START_FILE
from trainables.files.output import is_unfinished, write_json
from trainables.handoff import Handoff, ProbeRecord
from trainables.network.backbones import check_image_size, check_weights
from trainables.training.class_balance import double_corrections_in_trials


def run_sweep(
    config: SweepConfig,
    trainable: type[tune.Trainable] | None = None,
    *,
    join: bool = False,
    yes: bool = True,
    started: float | None = None,
) -> Handoff:
    """Run a sweep to its end and return the best configuration, which is in best.json too.

    Args:
        config: the sweep, with absolute paths (as `read_sweep` gives it).
        trainable: a class as `trainables.trial.FineTuneTrial`, which is the default.
        join: work on a study that another driver has begun, beside it.
        yes: go on from random weights where there are no others, without a question.
        started: when the command began, in monotonic seconds; None is now.

    Raises:
        UserError: the dataset has no marker, the experiment's folder holds another run, a file or the cluster is
            missing, the metric is not reported, or no trial came to a result.
    """
    started = time.monotonic() if started is None else started
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked, config = config, with_precision(config.model_copy(update={"trials": check_sampler(config)}))
    check_new(config)
    experiment = Path(config.experiment)
    check_empty(experiment)
    dataset = check(config)
    fingerprint = dataset.fingerprint
    check_name(config, fingerprint, join)
    warnings = [*cautions(config), *double_corrections_in_trials(dataset, _searched_or_fixed(config, "imbalance"))]
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)
    photos = sum(sum(dataset.manifest.counts.get(split, {}).values()) for split in ("train", "validation"))
    of = f"{photos} photos of {len(dataset.class_names)} families"
    print(f"sweep        {config.name}: {config.trials} trials on {of}; Ray starts", flush=True)
    if asked.trial.get("precision") == "auto":
        print(f"precision    {config.trial['precision']}, as trial.precision=auto means here", flush=True)
    earlier = gather(config, fingerprint) if config.warm_start else None
    with ray_session(config.address) as nodes:
        if trainable is None and not cluster_grows():
            check_starting_weights(_weights(config), yes)
        part, expected = allocate(config, nodes, dataset, trainable)
        with _alone_in(experiment), mirrored(config) as mirror:
            if earlier is not None:
                write_json(earlier, experiment / WARM_START_FILE)
                print(*(describe(source) for source in earlier["sources"]), sep="\n", flush=True)
            record = provenance(config.seed, config.dataset, fingerprint) | {"warnings": warnings}
            write_sweep(config, experiment)  # First: from here on, `resume` goes on.
            write_json(record, experiment / PROVENANCE_FILE)
            plan = Plan(config, part.threads, record["experiment_id"], origin(fingerprint))
            lock = sole_driver(config.storage, record["experiment_id"])
            with lock, opened_storage(experiment, config.storage) as storage:
                study = open_study(config, fingerprint, storage, join)
                for point in () if join else config.first_points[: config.trials]:
                    print(f"tried first  {', '.join(f'{name} {value}' for name, value in point.items())}", flush=True)
                driver = SweepDriver(plan, part, trainable, expected, mirror, started)
                return drive(driver, study, config.trials, started)


def check_empty(experiment: Path) -> None:
    """Refuse a folder for a new experiment that holds anything but the lock, and what was begun before sweep.yaml.

    Raises:
        UserError: it does, or is a file.
    """
    found = {file.name for file in experiment.iterdir()} if experiment.is_dir() else set()
    found = {name for name in found if not is_unfinished(name)}  # Of a run that never began.
    if found - {LOCK_FILE, HOLDER_FILE, WARM_START_FILE} or (experiment.exists() and not experiment.is_dir()):
        raise UserError(f"experiment: {experiment} holds another run; choose an empty or a new folder")


@contextmanager
def _alone_in(experiment: Path) -> Iterator[None]:
    """Be the only driver of a new experiment's folder, which is looked at again: another may have come and gone."""
    experiment.mkdir(parents=True, exist_ok=True)
    with driving(experiment):
        check_empty(experiment)
        yield


def with_precision(config: SweepConfig) -> SweepConfig:
    """Return the sweep with what `precision: auto` means: float32 on a cluster, else what this machine is fast in."""
    if config.trial.get("precision") != "auto":
        return config
    cluster = (config.address or os.environ.get("RAY_ADDRESS", "local")) != "local"
    precision = "float32" if cluster else fast_precision(gpu=config.resources.gpus_per_trial != 0)
    return config.model_copy(update={"trial": {**config.trial, "precision": precision}})


def check(config: SweepConfig) -> Dataset:
    """Refuse what would fail later, and return the dataset.

    Raises:
        UserError: a file of weights or the dataset is missing, or a backbone takes neither those nor an image size.
    """
    backbones = _searched_or_fixed(config, "backbone")
    for spec in _searched_or_fixed(config, "weights"):
        for backbone, weights in (spec if isinstance(spec, dict) else dict.fromkeys(backbones, spec)).items():
            check_weights(backbone, weights)
    for backbone in backbones:
        for image_size in _searched_or_fixed(config, "image_size"):
            check_image_size(backbone, image_size)
    return open_dataset_at(config.dataset, Plan(config, 1).store, lists_only=True)


def allocate(
    config: SweepConfig, nodes: Sequence[Node], dataset: Dataset, trainable: type[tune.Trainable] | None
) -> tuple[Share, Forecast | None]:
    """Return each trial's share of the machine, and what the sweep will cost; measured where the trials are our own."""
    grows = cluster_grows()
    if grows:
        nodes = first_nodes(config.resources, config.trials)
    resources, expected = config.resources, None
    if trainable is None:
        nodes = nodes_with_usable_gpus(config.resources, nodes)
        photos = {split: len(dataset.photos(split)) for split in ("train", "validation")}
        resources, expected = plan_resources(config, nodes, len(dataset.class_names), photos)
        if grows:  # How many trials a node holds was measured; how many nodes there will be is not known.
            resources = resources.model_copy(update={"concurrent_trials": config.resources.concurrent_trials})
    part = share(resources, nodes, grows)
    check_budget(config.budget, part.gpus)
    return part, expected


@dataclass(frozen=True)
class SweepDriver:
    """One process's part of a sweep: the plan, a trial's share of the machine, what trains (None: ours), the cost.

    `mirror` brings the records to a URL, where the sweep has one; `started` is when the command began, in monotonic
    seconds, None when the trials do.
    """

    plan: Plan
    part: Share
    trainable: type[tune.Trainable] | None = None
    expected: Forecast | None = None
    mirror: Mirror | None = None
    started: float | None = None


def drive(driver: SweepDriver, study: optuna.Study, trials: int, started: float) -> Handoff:
    """Run trials until there are as many as asked for, and write the results.

    Trials of this experiment that are open in the study, because the driver before this one was killed, come first.

    Args:
        trials: how many to run, those included.
        started: when this process began, in monotonic seconds.
    """
    plan, config, sweep_state = driver.plan, driver.plan.config, SweepState()
    searcher = StudySearch(plan, sweep_state, study, open_trials(study, plan.owner))
    took = Took(study, plan.owner, started)
    try:
        probe = _probe(driver, study, sweep_state)
        if sweep_state.error is None:
            _fit(driver, searcher, sweep_state, trials, probe, took)
    except Exception as error:
        # Ray wraps what the scheduler found wrong into its own error; the plain one is in `sweep_state`.
        if sweep_state.error is None:
            raise UserError(broken_off(error, plan.experiment)) from error
    except BaseException:
        print(how_to_go_on(plan.experiment), file=sys.stderr)
        raise
    if sweep_state.error is not None:  # What is open stays so, for a resume.
        raise sweep_state.error
    searcher.end_spared()
    stop = sweep_state.ending or Stop("failed", None, "the sweep ended under it")
    close_open_trials(study, stop, config.mode, plan.experiment, plan.owner)
    because = sweep_state.ending.reason if sweep_state.ending else sweep_state.finished or "all trials ended"
    fingerprint = plan.origin["dataset_fingerprint"]
    confirmation = None
    if sweep_state.ending is None:
        confirmation = confirmed(plan, driver.part, study, driver.trainable)
    elif config.confirm is not None:
        print("confirming   nothing: the sweep was to end, and its best trial is handed over as it is", flush=True)
    return write_results(study, config, fingerprint, because, took.seconds(), driver.expected, confirmation)


def _probe(driver: SweepDriver, study: optuna.Study, sweep_state: SweepState) -> ProbeRecord | None:
    """The sweep's probe, where the trials are our own; an error that every trial would meet ends the sweep."""
    if driver.trainable is not None:
        return None
    try:
        return probed(driver.plan, driver.part, study)
    except UserError as error:
        sweep_state.error = error
        return None


def observers(
    driver: SweepDriver, study: optuna.Study, sweep_state: SweepState, probe: ProbeRecord | None = None
) -> list[Observer]:
    """Return what follows the sweep, in the order in which each hears of an event: the log comes first."""
    plan, config = driver.plan, driver.plan.config
    quota = None if config.checkpoint_gb is None else int(config.checkpoint_gb * 2**30)
    found: list[Observer] = [
        StillThere(plan.experiment, sweep_state, study=config.storage is None),
        EpochLog(plan.experiment),
        KeepBestCheckpoints(plan.experiment, config.mode, config.keep_checkpoints, quota, config.mirror),
        TensorBoardRuns(plan.experiment, config.metric, list(config.space), config.cost, probe),
        Progress(config, driver.part.concurrent, probe=probe, started=driver.started),
    ]
    if driver.mirror is not None:
        found.append(WakeMirror(driver.mirror, sweep_state))
    if config.budget != Budget():
        found.append(WatchBudget(config, driver.part.gpus, sweep_state))
    earlier = own_trials(study, plan.owner)
    for observer in found:
        observer.restore(earlier)
    return found


def _weights(config: SweepConfig) -> Iterator[tuple[str, str]]:
    """Each backbone of the sweep with each of the weights that it is to start from."""
    for backbone in _searched_or_fixed(config, "backbone"):
        for spec in _searched_or_fixed(config, "weights"):
            yield backbone, TrialConfig(backbone=backbone, weights=spec).backbone_weights


def _searched_or_fixed(config: SweepConfig, name: str) -> list[Any]:
    """Every value that a knob may take in this sweep: its choices, the ends of its range, or the one it is fixed to."""
    knob = config.space.get(name)
    if isinstance(knob, Choices):
        return list(knob.values)
    if isinstance(knob, Range):
        return [int(knob.low), int(knob.high)]
    return [getattr(TrialConfig.model_validate(config.trial), name)]


def _fit(
    driver: SweepDriver,
    searcher: StudySearch,
    sweep_state: SweepState,
    trials: int,
    probe: ProbeRecord | None,
    took: Took,
) -> None:
    """Let Ray Tune run the trials until they are done or `sweep_state` ends them."""
    plan, part, config = driver.plan, driver.part, driver.plan.config
    watching = [*observers(driver, searcher.study, sweep_state, probe), took]
    callback = ObserverCallback(watching, config.metric, sweep_state)
    rule = make_rule(config.early_stopping, config.max_epochs, config.mode, config.seed)
    record = RuleReplay(searcher.study, rule)
    record.replay()
    trainable = driver.trainable
    if trainable is None:
        from trainables.trial import FineTuneTrial

        trainable = FineTuneTrial
    tuner = tune.Tuner(
        tune.with_resources(trainable, part.as_ray()),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StudyScheduler(config, rule, sweep_state, record.replay if config.storage else None),
            num_samples=trials,
            max_concurrent_trials=part.limit,
            # Warm workers: TensorFlow is imported once per worker, not once per trial.
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=RAY_FOLDER,
            storage_path=str(plan.experiment),
            stop=EndWhenAsked(sweep_state),
            failure_config=tune.FailureConfig(max_failures=config.max_failures),
            # None of Ray's: the trainable keeps its own, which a resumed driver finds too (training/checkpoint.py).
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[callback],
            verbose=0,
        ),
    )
    with ctrl_c(sweep_state), lost_workers_end_no_sweep(sweep_state.quarantine), head_watched(plan.experiment):
        try:
            tuner.fit()
        finally:
            # Ray does so itself, but not after a second Ctrl-C, which must leave the terminal as it was too.
            callback.on_experiment_end([])


def _trial_name(trial: Any) -> str:
    return f"trial_{run_settings(trial).trial:04d}"
