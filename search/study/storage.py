"""Storage of the study: an SQLite file or a PostgreSQL server."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.config.storage_url import StorageUrl, optuna_address
from trainables.errors import UserError
from trainables.files.experiment import STUDY_FILE

if TYPE_CHECKING:
    import optuna

# For how long a write waits for another program that has locked an SQLite file, in seconds; Optuna begins a trial only
# after several such waits. SQLite's own 5 s are less than a backup takes, and a sweep whose study is shut breaks off.
LOCK_SECONDS = 20.0
LOCKED = (
    f"locked by another program, and was for over {LOCK_SECONDS:.0f} s; "
    "close what has it open, such as a backup or an SQLite browser"
)
PATIENT = {"connect_args": {"timeout": LOCK_SECONDS}}
_CONNECT_SECONDS = 10
PATIENCE_SECONDS = 60.0  # for a server that is being restarted
_MOST_PAUSE = 5.0
_NAMED = 5
_HINT = "; the password is in no file of the sweep's: set PGPASSWORD, or add it to ~/.pgpass"


def sqlite_address(file: Path) -> str:
    """Return an SQLite file's address as Optuna takes it, with `?`, `%` and `{` in its path escaped."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(file)).render_as_string()


def open_storage(experiment: Path, url: StorageUrl | None = None) -> optuna.storages.RDBStorage:
    """Open the study's database, and create it or its tables where they are missing.

    SQLite in WAL mode: readers never wait for the sweep, nor it for them. A commit waits for the disk, so that a power
    cut takes nothing.

    Raises:
        UserError: the server does not answer, or refuses the user; or the file is damaged.
    """
    import optuna
    import sqlalchemy

    if url is not None:
        return _open_server(url)
    file = experiment / STUDY_FILE
    with _in_one_line(file):
        if file.exists() and file.stat().st_size:
            # A file that was cut off or overwritten is refused before a sweep goes on with it.
            with contextlib.closing(sqlite3.connect(file, timeout=LOCK_SECONDS)) as database:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        storage = optuna.storages.RDBStorage(sqlite_address(file), PATIENT)

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def _quick(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    storage.engine.dispose()  # Connections made so far are not yet set.
    return storage


@contextmanager
def opened_storage(experiment: Path, url: StorageUrl | None = None) -> Iterator[optuna.storages.RDBStorage]:
    """Open the study's database for the time of the body; SQLite is then one plain file again, to copy or to mount.

    Raises:
        UserError: as in `open_storage`, or the body finds the file locked by another program for too long.
    """
    import sqlalchemy

    storage = open_storage(experiment, url)
    try:
        yield storage
    except Exception as error:
        if not isinstance(error, UserError) and is_locked(cause := root_cause(error)):
            raise UserError(f"{experiment / STUDY_FILE} is {LOCKED}") from cause
        raise
    finally:
        storage.remove_session()
        if url is None:
            with contextlib.suppress(sqlalchemy.exc.OperationalError), storage.engine.connect() as connection:
                # Refused while a dashboard reads; then it stays WAL.
                connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
        storage.engine.dispose()


@contextmanager
def open_for_reading(where: StorageUrl | Path) -> Iterator[optuna.storages.BaseStorage]:
    """Open a database for the time of the body, and write nothing into it, not even the tables that it lacks.

    Args:
        where: a server's, or a file: SQLite, which stays in the mode that it is in, or a journal of Optuna's.

    Raises:
        UserError: it is missing or cannot be read, also when the body finds that.
    """
    import optuna

    if isinstance(where, Path):
        if not where.is_file():
            raise UserError(f"{where} does not exist, so no study can be read from it")
        with where.open("rb") as content:
            journal = content.read(1) == b"{"  # A JSON object a line; SQLite begins with its name.
        if journal:
            from optuna.storages.journal import JournalFileBackend

            try:
                opened = optuna.storages.JournalStorage(JournalFileBackend(str(where)))
            except (ValueError, KeyError, TypeError):  # What stumbles over a file that is no journal.
                raise UserError(f"{where} is neither an SQLite database nor a journal of Optuna's") from None
            yield opened
            return
    with _in_one_line(where):
        if isinstance(where, Path):
            storage = optuna.storages.RDBStorage(sqlite_address(where), PATIENT, skip_table_creation=True)
        else:
            storage = _open_server(where, skip_table_creation=True)
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()


@dataclass(frozen=True)
class StoredStudy:
    """What a study holds: `directions` are "maximize" or "minimize", `metrics` the objectives' names where it says."""

    trials: list[optuna.trial.FrozenTrial]
    attrs: dict[str, Any]
    directions: list[str]
    metrics: list[str] | None


def read_study(where: StorageUrl | Path, name: str) -> StoredStudy:
    """Read a study, whatever program wrote it; nothing is written. `where` is as in `open_for_reading`.

    Raises:
        UserError: the storage cannot be read, or holds no study of that name; the line says which it holds.
    """
    import optuna

    with open_for_reading(where) as storage:
        names = optuna.study.get_all_study_names(storage)
        if name not in names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            others = f"; it holds {', '.join(map(repr, sorted(names)[:_NAMED]))}{more}" if names else ""
            raise UserError(f"{getattr(where, 'shown', where)} holds no study {name!r}{others}")
        study = optuna.load_study(study_name=name, storage=storage)
        directions = [direction.name.lower() for direction in study.directions]
        return StoredStudy(study.get_trials(deepcopy=False), study.user_attrs, directions, study.metric_names)


def root_cause(error: BaseException) -> BaseException:
    """Return what an error was raised from: SQLAlchemy and Optuna wrap a database's into words of their own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def is_locked(error: BaseException) -> bool:
    """Say whether SQLite raised this because another program, or another connection, has locked the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # The rest says how it is locked.
    return isinstance(error, sqlite3.Error) and code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def _in_one_line(where: StorageUrl | Path) -> Iterator[None]:
    """Turn what a database complains of into one line, in its own words and without the password."""
    import optuna
    import sqlalchemy

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, sqlite3.Error, RuntimeError) as error:
        cause = root_cause(error)
        if is_locked(cause):
            raise UserError(f"{where} is {LOCKED}") from None
        reason = " ".join(str(cause).split())
        if "version_info" in reason:  # The first of Optuna's tables.
            reason = "it holds no tables of Optuna's"
        if isinstance(where, Path):
            raise UserError(f"{where} cannot be read: {reason}") from None
        hint = _HINT if where.password is None and "password" in reason else ""
        reason = reason.replace(where.password, "***") if where.password else reason
        raise UserError(f"storage: {where.shown} cannot be used: {reason}{hint}") from None


def _patient(url: StorageUrl) -> type[optuna.storages.RDBStorage]:
    """Optuna's storage on a server, whose every call is tried again while the server is being restarted."""
    import optuna
    import psycopg
    import sqlalchemy

    away = (optuna.exceptions.StorageInternalError, sqlalchemy.exc.DBAPIError, psycopg.OperationalError)

    def again(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Any, *given: Any, **named: Any) -> Any:
            deadline, pause = None, 0.5
            while True:
                try:
                    return method(self, *given, **named)
                except away as error:
                    cause = root_cause(error)
                    if not isinstance(cause, psycopg.OperationalError):
                        raise
                    if deadline is None:
                        deadline = time.monotonic() + PATIENCE_SECONDS
                        line = f"{url.shown} does not answer ({_one_line(cause)}); tried again for"
                        print(f"warning: storage: {line} {PATIENCE_SECONDS:.0f} s", file=sys.stderr, flush=True)
                    elif time.monotonic() > deadline:
                        raise
                    time.sleep(pause)
                    pause = min(2 * pause, _MOST_PAUSE)
                except optuna.exceptions.UpdateFinishedTrialError:
                    if deadline is None:
                        raise
                    return True  # The first try had reached the server, and its answer was lost.

        return call

    methods = {
        name: again(getattr(optuna.storages.RDBStorage, name))
        for name in optuna.storages.BaseStorage.__abstractmethods__ | {"_get_trials"}
    }
    return type("PatientStorage", (optuna.storages.RDBStorage,), methods)


@contextmanager
def sole_driver(url: StorageUrl | None, experiment_id: str) -> Iterator[None]:
    """Be the only driver of an experiment whose study is on a server, for the time of the body.

    Its folder may have been copied, and the lock in the folder does not see that. The server's lock ends with the
    connection.

    Raises:
        UserError: another driver has it.
    """
    if url is None:
        yield
        return
    key = int.from_bytes(hashlib.sha256(f"raretune/{experiment_id}".encode()).digest()[:8], signed=True)
    with _in_one_line(url):
        connection = _connect(url)
        connection.autocommit = True
        (free,) = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
    with contextlib.closing(connection):
        if not free:
            rule = "another process drives this experiment, from this folder or a copy of it"
            raise UserError(f"experiment: {rule}, and their study is in {url.shown}; wait for it, or stop it")
        yield


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _connect(url: StorageUrl) -> Any:
    """Connect with the password, which the engine's and Optuna's own URL do not have."""
    import psycopg
    from sqlalchemy.engine import make_url

    parts = make_url(url.shown)
    named = {"host": parts.host, "port": parts.port, "user": parts.username, "dbname": parts.database}
    given = {key: value for key, value in {**named, "password": url.password}.items() if value is not None}
    return psycopg.connect(**{"connect_timeout": _CONNECT_SECONDS, **parts.query, **given})  # type: ignore[arg-type]


def _open_server(url: StorageUrl, *, skip_table_creation: bool = False) -> optuna.storages.RDBStorage:

    # A pinged connection is made anew when the server was restarted between two epochs.
    settings = {"creator": partial(_connect, url), "pool_pre_ping": True, "pool_size": 2}
    before = os.environ.get("PGPASSWORD")
    if url.password is not None:  # Alembic, which marks new tables with their version, connects by the URL alone.
        os.environ["PGPASSWORD"] = url.password
    try:
        with _in_one_line(url):
            return _patient(url)(optuna_address(url), settings, skip_table_creation=skip_table_creation)
    finally:
        if url.password is not None:
            os.environ.pop("PGPASSWORD")
        if before is not None:
            os.environ["PGPASSWORD"] = before
