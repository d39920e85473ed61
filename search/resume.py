"""Go on with a sweep whose driver is no more, from the study and the trials' checkpoints alone.

A resume is a new Ray Tune run. Its searcher first hands out the trials that the study holds as RUNNING (the same Optuna
trials, with their numbers, seeds and configurations), its early-stopping rule is rebuilt by replaying the study, and a
trial begins at its newest whole checkpoint, whose result it reports once more. Ray's own experiment state is not read:
restoring it loses the rungs.

What more epochs mean: a trial that has begun keeps the number of epochs, and so the cosine schedule, that it began
with, whether it has ended or still runs; new trials get the new number. Rungs are dealt anew for the new number.
"""

import shutil
import time
from pathlib import Path

import optuna
from ray import tune

from search.config.file import read_sweep, write_sweep
from search.config.schema import SweepConfig
from search.config.trial_plan import Plan
from search.experiment.lock import driving
from search.experiment.mirror import download_for_resume, mirrored
from search.experiment.provenance import add_session, origin, read_provenance
from search.results import write_results
from search.sampling.samplers import check_sampler
from search.study.opening import continued_study, settle
from search.study.storage import opened_storage
from search.study.study import open_trials
from search.sweep import Driver, check, divided, drive
from search.tune.session import ray_session
from trainables.errors import UserError
from trainables.files.bucket import is_url
from trainables.files.experiment import BEST_FILE, FRONT_FOLDER, RAY_FOLDER, SUMMARY_FILE, SWEEP_FILE
from trainables.handoff import Handoff, read_handoff

# What a sweep that is to end writes last; while it runs again, nobody may take it for ended.
_MARKERS = (BEST_FILE, SUMMARY_FILE)


def resume_sweep(
    experiment: Path | str, overrides: list[str] | None = None, trainable: type[tune.Trainable] | None = None
) -> tuple[Handoff, bool]:
    """Go on with a sweep until its end; return the best configuration, and whether there was anything left to do.

    Args:
        experiment: the sweep's folder, or its URL: then its records are brought to this machine first.
        overrides: keys to change, as `--set` gives them.
        trainable: as in `run_sweep`.

    Raises:
        UserError: the place holds no sweep, another process drives it, a key that may not be changed differs, or
            what `run_sweep` raises.
    """
    started = time.monotonic()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = experiment if isinstance(experiment, str) and is_url(experiment) else None
    folder = Path(experiment) if url is None else download_for_resume(url)
    config = read_resumed(folder, overrides or [], url)
    record = read_provenance(Path(config.experiment))
    dataset = check(config)
    fingerprint = dataset.fingerprint
    plan = Plan(config, 1, record["experiment_id"], origin(fingerprint))
    with (
        driving(plan.experiment),
        mirrored(config) as mirror,
        opened_storage(plan.experiment, config.storage) as storage,
    ):
        study = continued_study(config, fingerprint, storage)
        ended = settle(study, config, plan.owner)
        left = max(config.trials - ended, len(open_trials(study, plan.owner)))
        if left == 0:
            return _ended(study, plan, started)
        with ray_session(config.address) as nodes:
            part, expected = divided(config, nodes, dataset, trainable)
            _take_up(config, record, overrides or [])
            plan = Plan(config, part.threads, plan.experiment_id, plan.origin)
            return drive(Driver(plan, part, trainable, expected, mirror), study, left, started), True


def read_resumed(experiment: Path, overrides: list[str], url: str | None = None) -> SweepConfig:
    """Read the sweep of an experiment's folder, wherever that was moved, and apply what is to be changed.

    Args:
        url: where its mirror is by now.

    Raises:
        UserError: it holds no sweep, a value is not allowed, or trials are to have fewer epochs than before.
    """
    experiment = experiment.absolute()
    file = experiment / SWEEP_FILE
    if not file.is_file():
        raise UserError(f"{experiment} holds no sweep.yaml, so nothing to resume; `python -m search run` begins one")
    here = [f"experiment={experiment}", *([] if url is None else [f"mirror={url}"])]
    before = read_sweep(file, here)
    config = read_sweep(file, [*overrides, *here])
    for key in ("name", "experiment", "mirror"):
        if any(override.startswith(f"{key}=") for override in overrides):
            raise UserError(f"{key}: cannot be changed on resume")
    if config.storage != before.storage:
        raise UserError("storage: the study stays where it is; only the password may be given anew")
    if config.max_epochs < before.max_epochs:
        raise UserError(f"trial.epochs: may only grow on resume, from {before.max_epochs}, not to {config.max_epochs}")
    return config.model_copy(update={"trials": check_sampler(config)})


def _take_up(config: SweepConfig, record: dict[str, object], overrides: list[str]) -> None:
    """Write into the experiment that it runs again, and as what."""
    experiment = Path(config.experiment)
    for name in _MARKERS:
        (experiment / name).unlink(missing_ok=True)
    for name in (FRONT_FOLDER, RAY_FOLDER):  # The second is Ray's state of the driver that is no more.
        shutil.rmtree(experiment / name, ignore_errors=True)
    write_sweep(config, experiment)
    add_session(experiment, record, overrides)


def _ended(study: optuna.Study, plan: Plan, started: float) -> tuple[Handoff, bool]:
    """Nothing is left to run: read what was handed over, or hand over what a killed driver could not."""
    if all((plan.experiment / marker).is_file() for marker in _MARKERS):
        return read_handoff(plan.experiment / BEST_FILE), False
    fingerprint = plan.origin["dataset_fingerprint"]
    seconds = time.monotonic() - started
    return write_results(study, plan.config, fingerprint, "all trials ended", seconds), True
