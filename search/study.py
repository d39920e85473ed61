"""The Optuna study: the one record of what was suggested, reported, stopped and why."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import optuna
import sqlalchemy
from optuna.trial import TrialState

from search.control import STOPPED_BY_SCHEDULER, Outcome, Stop
from search.records import study_storage
from trainables.errors import SweepError

if TYPE_CHECKING:
    from pathlib import Path

    from search.rules import Mode


def open_storage(experiment: Path) -> optuna.storages.RDBStorage:
    """Open (or create) the experiment's study database.

    SQLite in WAL mode: readers never wait for the sweep, nor it for them, and a commit does not wait for the disk; a
    killed driver loses nothing by that (a power cut may lose the last commits, not the database).
    """
    storage = optuna.storages.RDBStorage(study_storage(experiment))
    sqlalchemy.event.listen(storage.engine, "connect", _quick)
    storage.engine.dispose()  # Connections made so far are not yet set.
    return storage


def close_storage(storage: optuna.storages.RDBStorage) -> None:
    """Close the database; an experiment that ended is one plain file again, to be copied or mounted read-only."""
    storage.remove_session()
    with contextlib.suppress(sqlalchemy.exc.OperationalError), storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=DELETE")  # Refused while a dashboard reads; then it stays WAL.
    storage.engine.dispose()


def _quick(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def create_study(name: str, mode: Mode, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """Create a study; one of that name is never joined.

    Raises:
        SweepError: the storage holds a study of that name.
    """
    try:
        return optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize" if mode == "max" else "minimize",
            # Ray's scheduler decides; a pruner of Optuna's would only be asked for nothing.
            pruner=optuna.pruners.NopPruner(),
            load_if_exists=False,
        )
    except optuna.exceptions.DuplicatedStudyError:
        raise SweepError(f"the study {name!r} exists in this storage; give the sweep another `name`") from None


def tell_end(
    study: optuna.Study, number: int, values: dict[int, float], stop: Stop, mode: Mode, attrs: dict[str, Any]
) -> Outcome:
    """End a trial in the study, with its reason, and return how it ended.

    COMPLETE has the best objective over its epochs as its value; PRUNED keeps its last one, which is what TPE reads;
    a trial that failed, or has no result, is FAIL.

    Args:
        values: finite objective by epoch, all of them already reported.
        attrs: further user attributes.
    """
    epoch = best_epoch(values, mode)
    best = None if epoch is None else values[epoch]
    if stop.kind == "failed" or (best is None and stop.kind not in STOPPED_BY_SCHEDULER):
        state = TrialState.FAIL
    elif best is None or stop.kind in STOPPED_BY_SCHEDULER:
        state = TrialState.PRUNED if values else TrialState.FAIL
    else:
        state = TrialState.COMPLETE
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    for key, value in {**attrs, "stop": stop.as_dict(), "best_epoch": epoch}.items():
        study._storage.set_trial_user_attr(trial_id, key, value)
    study.tell(number, best if state == TrialState.COMPLETE else None, state=state)
    return Outcome(state.name, stop, best, epoch)  # type: ignore[arg-type]


def close_open_trials(study: optuna.Study, stop: Stop, mode: Mode) -> dict[int, Outcome]:
    """Tell every trial that is still RUNNING (the sweep ended under it), and return how each ended."""
    outcomes = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        values = {step: value for step, value in trial.intermediate_values.items() if math.isfinite(value)}
        own = Stop(stop.kind, max(values, default=None), stop.reason)
        outcomes[trial.number] = tell_end(study, trial.number, values, own, mode, {})
    return outcomes


def best_epoch(values: dict[int, float], mode: Mode) -> int | None:
    """Return the first epoch with the best value; None without values."""
    if not values:
        return None
    sign = -1 if mode == "max" else 1
    return min(values, key=lambda epoch: (sign * values[epoch], epoch))
