"""Resume of a sweep after its driver died, or with more trials.

Only the study and the trials' checkpoints are read. A resume is a new Ray Tune run: its searcher begins with the trials
that the study holds as RUNNING (the same Optuna trials, with their numbers, seeds and configurations), its
early-stopping rule is rebuilt by replaying the study, and a trial begins at its newest whole checkpoint, whose result
it reports once more. Ray's own experiment state is not read: restoring it loses the rungs.

What more epochs mean: a trial that has begun keeps the number of epochs, and so the cosine schedule, that it began
with, whether it has ended or still runs; new trials get the new number. Rungs are dealt anew for the new number.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
from ray import tune

from search.callbacks.epoch_log import mend_logs
from search.callbacks.took import seconds_before
from search.config.cautions import cautions
from search.config.file import read_sweep, write_sweep
from search.config.schema import SweepConfig
from search.config.trial_plan import Plan
from search.experiment.lease import driving
from search.experiment.mirror import download_for_resume, mirrored
from search.experiment.provenance import add_session, origin, provenance_or_new
from search.results import read_summary, write_results
from search.sampling.samplers import check_sampler
from search.study.storage import opened_storage, sole_driver
from search.study.study import continued_study, open_trials, own_trials, settle
from search.study.trial_record import records_of_trials, set_damaged_aside
from search.sweep import SweepDriver, allocate, check, drive
from search.tune.confirm import confirmed
from search.tune.resources import Share
from search.tune.session import ray_session
from trainables.errors import UserError
from trainables.files.bucket import is_url
from trainables.files.experiment import BEST_FILE, FRONT_FOLDER, RAY_FOLDER, STUDY_FILE, SUMMARY_FILE, SWEEP_FILE
from trainables.handoff import Confirmation, Handoff, read_handoff, write_handoff

# What a sweep writes last; while it runs again it must not pass for one that has ended.
_MARKERS = (BEST_FILE, SUMMARY_FILE)


def resume_sweep(
    experiment: Path | str, overrides: list[str] | None = None, trainable: type[tune.Trainable] | None = None
) -> tuple[Handoff, bool]:
    """Run a sweep on to its end; return the best configuration, and whether there was anything left to do.

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
    place = Path(experiment) if url is None else download_for_resume(url)
    config, before = read_resumed(place, overrides or [], url), read_resumed(place, [], url)
    folder = Path(config.experiment)
    dataset = check(config)
    fingerprint = dataset.fingerprint
    with ExitStack() as held:
        held.enter_context(driving(folder))
        # Again, now that no other driver can change it.
        config, before = read_resumed(place, overrides or [], url), read_resumed(place, [], url)
        record = provenance_or_new(folder, config, fingerprint)
        held.enter_context(sole_driver(config.storage, record["experiment_id"]))
        driver = SweepDriver(
            Plan(config, 1, record["experiment_id"], origin(fingerprint)),
            Share(1, 1, 0.0),
            trainable,
            mirror=held.enter_context(mirrored(config)),
            started=started,
        )
        study = continued_study(config, fingerprint, held.enter_context(_storage(config)))
        ended = settle(study, config, driver.plan.owner)
        begun = len(open_trials(study, driver.plan.owner))
        left, has_results = max(config.trials - ended, begun), _has_results(folder)
        _refuse_without_effect(config, before, ended, begun, has_results)
        mend_logs(folder, own_trials(study, driver.plan.owner), config.metric)
        if left == 0:
            if config != before:
                write_sweep(config, folder)
                add_session(folder, record, overrides or [])
            if has_results or config.confirm is None:
                return _hand_over(driver, study, has_results)
        for line in cautions(config):
            print(f"warning: {line}", file=sys.stderr)
        with ray_session(config.address) as nodes:
            part, expected = allocate(config, nodes, dataset, trainable)
            _reopen(config, record, overrides or [])
            driver = replace(driver, plan=replace(driver.plan, threads=part.threads), part=part, expected=expected)
            if left == 0:
                confirmation = confirmed(driver.plan, part, study, trainable)
                return _hand_over(driver, study, has_results, confirmation)
            return drive(driver, study, left, started), True


def _hand_over(
    driver: SweepDriver, study: optuna.Study, has_results: bool, confirmation: Confirmation | None = None
) -> tuple[Handoff, bool]:
    """Return the result of a sweep that has ended; its driver may have been killed before it had written that."""
    plan, config = driver.plan, driver.plan.config
    if has_results:
        _name_dataset(plan.experiment, config.dataset)
        return read_handoff(plan.experiment / BEST_FILE), False
    took = seconds_before(study, plan.owner)
    fingerprint = plan.origin["dataset_fingerprint"]
    done = write_results(study, config, fingerprint, "all trials ended", took, driver.expected, confirmation)
    return done, True


@contextmanager
def _storage(config: SweepConfig) -> Iterator[optuna.storages.RDBStorage]:
    """Open the study's database; one that is damaged is set aside where the trials' own records can make it anew.

    Raises:
        UserError: as `opened_storage`.
    """
    folder = Path(config.experiment)
    if config.storage is None and records_of_trials(folder):
        aside = set_damaged_aside(folder)
        if aside is not None:
            print(f"warning: {folder / STUDY_FILE} was damaged, and is now {aside.name}", file=sys.stderr)
    with opened_storage(folder, config.storage) as storage:
        yield storage


def _has_results(folder: Path) -> bool:
    """Whether the results of a sweep are there and can be read; what is damaged is written again."""
    try:
        read_summary(folder)
        read_handoff(folder / BEST_FILE)
        for file in (folder / FRONT_FOLDER).glob("*.json"):
            read_handoff(file)
    except UserError:
        return False
    return True


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
    for key in ("name", "experiment", "mirror"):
        if any(override.startswith(f"{key}=") for override in overrides):
            raise UserError(f"{key}: cannot be changed on resume")
    here = {"experiment": str(experiment)} | ({} if url is None else {"mirror": url})
    before = read_sweep(file, places=here)
    config = read_sweep(file, overrides, here)
    if config.storage != before.storage:
        raise UserError("storage: the study stays where it is; only the password may be given anew")
    if config.max_epochs < before.max_epochs:
        raise UserError(f"trial.epochs: may only grow on resume, from {before.max_epochs}, not to {config.max_epochs}")
    return config.model_copy(update={"trials": check_sampler(config)})


def _refuse_without_effect(config: SweepConfig, before: SweepConfig, ended: int, begun: int, has_results: bool) -> None:
    """Refuse a change that would have no effect, rather than accept it in silence.

    Args:
        ended: how many trials have ended.
        begun: how many are open.
        has_results: whether the results of those that ended are written.

    Raises:
        UserError: a key differs that only trials read, and none is left to run; or more epochs, and all have begun.
    """
    changed = [name for name in SweepConfig.model_fields if getattr(config, name) != getattr(before, name)]
    if max(config.trials - ended, begun) == 0:
        # Fewer trials end a sweep that was to go on, unless it has ended.
        used = ["dataset"] if has_results or before.trials <= ended else ["dataset", "trials"]
        for name in changed:
            if name not in used:
                more = f"; --set trials=N above {ended} asks for more"
                raise UserError(
                    f"{name}: {ended} trials have ended and none is left to run, so it changes nothing{more}"
                )
    elif config.trials - ended <= begun and config.max_epochs != before.max_epochs:
        raise UserError(
            f"trial.epochs: changes nothing: a trial that has begun keeps its {before.max_epochs}, and all have begun; "
            f"--set trials=N above {ended + begun} asks for more"
        )


def _name_dataset(experiment: Path, dataset: str) -> None:
    """Write into the results of a sweep that has ended where its dataset lies now."""
    for file in (experiment / BEST_FILE, *sorted((experiment / FRONT_FOLDER).glob("*.json"))):
        found = read_handoff(file)
        if found.dataset != dataset:
            write_handoff(found.model_copy(update={"dataset": dataset}), file)


def _reopen(config: SweepConfig, record: dict[str, object], overrides: list[str]) -> None:
    """Write into the experiment that it runs again, and with which changes; Ray's state of the last driver goes."""
    experiment = Path(config.experiment)
    for name in _MARKERS:
        (experiment / name).unlink(missing_ok=True)
    for name in (FRONT_FOLDER, RAY_FOLDER):
        shutil.rmtree(experiment / name, ignore_errors=True)
    write_sweep(config, experiment)
    add_session(experiment, record, overrides)
