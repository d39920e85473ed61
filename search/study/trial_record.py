"""The trials' own records, trials/0007/trial.json: the second source of the study.

Each holds its trial as the study has it, written when the trial begins and again when it ends. What it reported in
between stands in its checkpoints, and a resumed trial reports it again. A study that is lost, or that is an older copy,
is made whole from them.
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel

from search.study.storage import LOCK_SECONDS
from trainables.errors import UserError
from trainables.files.experiment import STUDY_FILE, TRIAL_FILE, TRIALS_FOLDER, trial_folder
from trainables.files.output import make_folder, write_json
from trainables.files.record import read_record

DRIVER = "driver"  # the user attribute of a trial: the experiment that began it
_LOST = "its records were lost"


class TrialFile(BaseModel, extra="forbid"):
    """A trial as Optuna has it; `started` and `ended` are ISO 8601 local times, `distributions` Optuna's JSON."""

    format: int = 1
    number: int
    state: str
    values: list[float] | None
    params: dict[str, Any]
    distributions: dict[str, str]
    intermediate_values: dict[int, float]
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    started: datetime | None
    ended: datetime | None


def keep_trial(study: optuna.Study, number: int, experiment: Path) -> None:
    """Write a trial's own record as the study has it now."""
    trial = study._storage.get_trial(study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number))
    folder = trial_folder(experiment, number)
    make_folder(folder)
    record = TrialFile(
        number=number,
        state=trial.state.name,
        values=trial.values,
        params=trial.params,
        distributions={name: distribution_to_json(knob) for name, knob in trial.distributions.items()},
        intermediate_values=trial.intermediate_values,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        started=trial.datetime_start,
        ended=trial.datetime_complete,
    )
    write_json(record.model_dump(mode="json"), folder / TRIAL_FILE)


def restore_trials(study: optuna.Study, experiment: Path) -> list[int]:
    """Add to a study the trials that it lacks and of which the experiment holds records; return their numbers.

    A trial whose record says that it runs is one that a resume takes up.

    Raises:
        UserError: a record is damaged.
    """
    there = len(study.get_trials(deepcopy=False))
    records = dict(_records(experiment, there))
    numbers = list(range(there, max(records, default=there - 1) + 1))
    for number in numbers:
        record = records.get(number)
        trial = _blank() if record is None else _as_trial(record)
        study._storage.create_new_trial(study._study_id, trial)
    return numbers


def owner_of_trials(experiment: Path) -> str | None:
    """Return the identifier under which the experiment's trials stand in their study; None where no record says it."""
    owners = {record.user_attrs.get(DRIVER) for _, record in _records(experiment, 0)}
    return owners.pop() if len(owners) == 1 else None


def records_of_trials(experiment: Path) -> bool:
    """Whether there are trials, and each of them has a record of its own."""
    folders = list((experiment / TRIALS_FOLDER).glob("*"))
    return bool(folders) and all((folder / TRIAL_FILE).is_file() for folder in folders)


def set_damaged_aside(experiment: Path) -> Path | None:
    """Rename a study that is no database any more; return its new name, None where it is whole or not there."""
    file = experiment / STUDY_FILE
    if not file.is_file() or _is_whole(file):
        return None
    number = 1
    while (aside := file.with_name(f"{file.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)  # They would be taken for those of the next study.
    return file.rename(aside)


def _is_whole(file: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=LOCK_SECONDS)) as database:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError:  # Locked, or the disk: it may be whole.
        return True
    except sqlite3.DatabaseError:
        return False


def _records(experiment: Path, first: int) -> Iterable[tuple[int, TrialFile]]:
    for file in sorted((experiment / TRIALS_FOLDER).glob(f"*/{TRIAL_FILE}")):
        if file.parent.name.isdecimal() and int(file.parent.name) >= first:
            hint = f"restore it, or delete {file.parent} to have the trial run again"
            record = read_record(file, TrialFile, hint)
            if record.number != int(file.parent.name):
                raise UserError(f"{file} is damaged: it is trial {record.number}'s; {hint}")
            yield record.number, record


def _as_trial(record: TrialFile) -> FrozenTrial:
    return FrozenTrial(
        number=record.number,
        trial_id=-1,
        state=TrialState[record.state],
        value=None,
        values=record.values,
        datetime_start=record.started,
        datetime_complete=record.ended,
        params=record.params,
        distributions={name: json_to_distribution(text) for name, text in record.distributions.items()},
        user_attrs=record.user_attrs,
        system_attrs=record.system_attrs,
        intermediate_values=record.intermediate_values,
    )


def _blank() -> FrozenTrial:
    """What takes the number of a trial of which nothing is left."""
    now, stop = datetime.now(), {"kind": "interrupted", "reason": _LOST}
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.FAIL,
        value=None,
        datetime_start=now,
        datetime_complete=now,
        params={},
        distributions={},
        user_attrs={"stop": stop},
        system_attrs={},
        intermediate_values={},
    )
