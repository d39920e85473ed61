"""Opening a study: creating it, joining another driver's, or resuming it."""

from pathlib import Path
from typing import Any

import optuna

from search.config.schema import SweepConfig
from search.study.storage import opened_storage
from search.study.study import (
    DEFINITION,
    cost_of,
    create_study,
    decided_end,
    describe_study,
    finite_values,
    load_study,
    name_is_taken,
    open_trials,
    own_trials,
    tell_end,
)
from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.files.experiment import STUDY_FILE, TRIALS_FOLDER

_FIXED = "metric mode objectives seed space sampler startup_trials early_stopping points warm_start"
_MAY_CHANGE = (
    "trials, trial.epochs (more), budget, resources, max_failures, checkpoint_every, keep_checkpoints, checkpoint_gb, "
    "store, store_gb, address, and where the same dataset and storage are found"
)


def check_name(config: SweepConfig, fingerprint: str, join: bool) -> None:
    """Refuse a study name that is taken, or with `join` one that is not, before anything is written.

    Raises:
        UserError: the name is taken, or not, the server does not answer, or the joined study has other keys.
    """
    if config.storage is None:
        if join:
            raise UserError("--join: needs the key storage; an SQLite study belongs to its experiment alone")
        return
    with opened_storage(Path(config.experiment), config.storage) as storage:
        if join:
            open_study(config, fingerprint, storage, join)
        elif load_study(config.name, storage) is not None:
            raise UserError(name_is_taken(config.name))


def open_study(config: SweepConfig, fingerprint: str, storage: optuna.storages.BaseStorage, join: bool) -> optuna.Study:
    """Create the sweep's study, or load the one that is joined.

    Raises:
        UserError: the name is taken, or the study to join is missing, no sweep's, or has other keys.
    """
    if not join:
        about = _definition(config, fingerprint)
        return create_study(config.name, config.mode, storage, about, len(config.objectives) or 1)
    study = load_study(config.name, storage)
    if study is None:
        raise UserError(f"--join: this storage holds no study {config.name!r}; without --join it is begun")
    if DEFINITION not in study.user_attrs:
        raise UserError(f"--join: the study {config.name!r} was not begun by `python -m search run`")
    _check_same(config, fingerprint, study.user_attrs[DEFINITION])
    return study


def continued_study(config: SweepConfig, fingerprint: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """Load the study of an experiment that is resumed; one that was killed before it made its study gets it now.

    Raises:
        UserError: a key differs that may not be changed, or the study of trials that have begun is gone.
    """
    study = load_study(config.name, storage)
    if study is None:
        # Trials whose study was deleted or replaced: none may begin over their records.
        trials = Path(config.experiment) / TRIALS_FOLDER
        if any(trials.glob("*")):
            where = config.storage.shown if config.storage else trials.with_name(STUDY_FILE)
            raise UserError(
                f"{where} holds no study {config.name!r}, though {trials} holds trials of it: "
                "restore it from a copy, or run the sweep again into another folder"
            )
        return open_study(config, fingerprint, storage, join=False)
    if DEFINITION not in study.user_attrs:
        describe_study(study, _definition(config, fingerprint))
    _check_same(config, fingerprint, study.user_attrs[DEFINITION])
    return study


def settle(study: optuna.Study, config: SweepConfig, owner: str | None) -> int:
    """Tell the study of ends that were decided when the driver was killed; return how many trials have ended by now.

    Args:
        owner: the experiment whose trials count; None where the study has no others.
    """
    for trial in open_trials(study, owner):
        stop = decided_end(trial)
        if stop is not None:
            tell_end(study, trial.number, finite_values(trial), stop, config.mode, {}, cost=cost_of(trial))
    return sum(trial.state.is_finished() for trial in own_trials(study, owner))


def _definition(config: SweepConfig, fingerprint: str) -> dict[str, Any]:
    """Return what the study's record rests on, as JSON."""
    values = config.model_dump(mode="json", include=set(_FIXED.split()))
    trial = TrialConfig.model_validate(config.trial).model_dump(mode="json", exclude={"epochs", "seed", "sweep_seed"})
    searched = {name.partition(".")[0] for name in config.space}
    fixed = {f"trial.{name}": value for name, value in trial.items() if name not in searched or name == "augmentation"}
    return {**values, **fixed, "dataset": fingerprint}


def _check_same(config: SweepConfig, fingerprint: str, stored: dict[str, Any]) -> None:
    """Refuse to resume or join a study with other keys than it began with."""
    stored = {"objectives": [], **stored}  # A study of before there could be two has one.
    for key, value in _definition(config, fingerprint).items():
        if key in stored and stored[key] != value:
            if key == "dataset":
                raise UserError(
                    f"dataset: {config.dataset} is not what the study {config.name!r} was begun on (fingerprint "
                    f"{value[:12]}, not {stored[key][:12]})"
                )
            old, new = (text if len(text) <= 100 else f"{text[:97]}…" for text in (str(stored[key]), str(value)))
            raise UserError(
                f"{key}: the study {config.name!r} was begun with {old}, so it cannot become {new}; "
                f"what may be changed: {_MAY_CHANGE}"
            )
