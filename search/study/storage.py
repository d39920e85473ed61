"""Storage of the study: an SQLite file or a PostgreSQL server."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.config.storage_url import StorageUrl, optuna_address
from trainables.errors import UserError
from trainables.files.experiment import STUDY_FILE

if TYPE_CHECKING:
    import optuna

_CONNECT_SECONDS = 10
_HINT = "; the password is in no file of the sweep's: set PGPASSWORD, or add it to ~/.pgpass"


def open_storage(experiment: Path, url: StorageUrl | None = None) -> optuna.storages.RDBStorage:
    """Open the study's database, and create it or its tables where they are missing.

    SQLite in WAL mode: readers never wait for the sweep, nor it for them, and a commit does not wait for the disk; a
    killed driver loses nothing by that (a power cut may lose the last commits, not the database).

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
            with contextlib.closing(sqlite3.connect(file)) as database:
                (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    sqlalchemy.event.listen(storage.engine, "connect", _quick)
    storage.engine.dispose()  # Connections made so far are not yet set.
    return storage


def close_storage(storage: optuna.storages.RDBStorage) -> None:
    """Close the database; an experiment that ended is one plain file again, to be copied or mounted read-only."""
    import sqlalchemy

    storage.remove_session()
    if storage.engine.dialect.name == "sqlite":
        with contextlib.suppress(sqlalchemy.exc.OperationalError), storage.engine.connect() as connection:
            # Refused while a dashboard reads; then it stays WAL.
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    storage.engine.dispose()


@contextmanager
def opened_storage(experiment: Path, url: StorageUrl | None = None) -> Iterator[optuna.storages.RDBStorage]:
    """Open the study's database for the time of the body."""
    storage = open_storage(experiment, url)
    try:
        yield storage
    finally:
        close_storage(storage)


@contextmanager
def open_for_reading(where: StorageUrl | Path) -> Iterator[optuna.storages.BaseStorage]:
    """Open a database for the time of the body, and write nothing into it, not even the tables that it lacks.

    Args:
        where: a server's, or a file: SQLite, which stays in the mode that it is in, or a journal of Optuna's.

    Raises:
        UserError: it is not there or cannot be read, also when the body finds that.
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
            storage = optuna.storages.RDBStorage(f"sqlite:///{where}", skip_table_creation=True)
        else:
            storage = _open_server(where, skip_table_creation=True)
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()


@contextmanager
def _in_one_line(where: StorageUrl | Path) -> Iterator[None]:
    """Turn what a database complains of into one line, in its own words and without the password."""
    import optuna
    import sqlalchemy

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, sqlite3.Error, RuntimeError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # SQLAlchemy and Optuna wrap it into words of their own.
            cause = cause.__cause__
        reason = " ".join(str(cause).split())
        if "version_info" in reason:  # The first of Optuna's tables.
            reason = "it holds no tables of Optuna's"
        if isinstance(where, Path):
            raise UserError(f"{where} cannot be read: {reason}") from None
        hint = _HINT if where.password is None and "password" in reason else ""
        reason = reason.replace(where.password, "***") if where.password else reason
        raise UserError(f"storage: {where.shown} cannot be used: {reason}{hint}") from None


class _Connect:
    """Makes connections with the password, which the engine's and Optuna's own URL do not have."""

    def __init__(self, url: StorageUrl) -> None:
        self._url = url

    def __call__(self) -> Any:
        import psycopg
        from sqlalchemy.engine import make_url

        parts = make_url(self._url.shown)
        named = {"host": parts.host, "port": parts.port, "user": parts.username, "dbname": parts.database}
        given = {key: value for key, value in {**named, "password": self._url.password}.items() if value is not None}
        return psycopg.connect(**{"connect_timeout": _CONNECT_SECONDS, **parts.query, **given})  # type: ignore[arg-type]


def _open_server(url: StorageUrl, *, skip_table_creation: bool = False) -> optuna.storages.RDBStorage:
    import optuna

    # A pinged connection is made anew when the server was restarted between two epochs.
    settings = {"creator": _Connect(url), "pool_pre_ping": True, "pool_size": 2}
    with _in_one_line(url), _password_at_hand(url.password):
        return optuna.storages.RDBStorage(optuna_address(url), settings, skip_table_creation=skip_table_creation)


@contextmanager
def _password_at_hand(password: str | None) -> Iterator[None]:
    """PGPASSWORD for a moment: Alembic, which marks new tables with their version, connects by the URL alone."""
    before = os.environ.get("PGPASSWORD")
    if password is not None:
        os.environ["PGPASSWORD"] = password
    try:
        yield
    finally:
        if password is not None:
            os.environ.pop("PGPASSWORD")
        if before is not None:
            os.environ["PGPASSWORD"] = before


def _quick(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
