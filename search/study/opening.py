"""Opening a study: creating it, joining another driver's, or resuming it."""

from pathlib import Path

import optuna

from search.config.schema import SweepConfig
from search.study.identity import check_same, definition
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
from trainables.errors import UserError
from trainables.files.experiment import STUDY_FILE, TRIALS_FOLDER


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
        study = load_study(config.name, storage)
        if study is not None and not join:
            raise UserError(name_is_taken(config.name))
        if join:
            _check_joined(study, config, fingerprint)


def open_study(config: SweepConfig, fingerprint: str, storage: optuna.storages.BaseStorage, join: bool) -> optuna.Study:
    """Create the sweep's study, or load the one that is joined."""
    if not join:
        about = definition(config, fingerprint)
        return create_study(config.name, config.mode, storage, about, len(config.objectives) or 1)
    study = load_study(config.name, storage)
    return _check_joined(study, config, fingerprint)


def continued_study(config: SweepConfig, fingerprint: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """Load the study of an experiment that is resumed; one that was killed before it made its study gets it now.

    Raises:
        UserError: a key differs that may not be changed, or the study of trials that have begun is gone.
    """
    study = load_study(config.name, storage)
    if study is None:
        # Trials whose study was deleted or replaced: none may begin over their records.
        folder = Path(config.experiment)
        if any((folder / TRIALS_FOLDER).glob("*")):
            where = config.storage.shown if config.storage else folder / STUDY_FILE
            raise UserError(
                f"{where} holds no study {config.name!r}, though {folder / TRIALS_FOLDER} holds trials of it: "
                "restore it from a copy, or run the sweep again into another folder"
            )
        return open_study(config, fingerprint, storage, join=False)
    if DEFINITION not in study.user_attrs:
        describe_study(study, definition(config, fingerprint))
    check_same(config, fingerprint, study.user_attrs[DEFINITION])
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


def _check_joined(study: optuna.Study | None, config: SweepConfig, fingerprint: str) -> optuna.Study:
    if study is None:
        raise UserError(f"--join: this storage holds no study {config.name!r}; without --join it is begun")
    if DEFINITION not in study.user_attrs:
        raise UserError(f"--join: the study {config.name!r} was not begun by `python -m search run`")
    check_same(config, fingerprint, study.user_attrs[DEFINITION])
    return study
