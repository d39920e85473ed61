"""Storage URLs, and the sources of a warm start."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_FORM = "postgresql://USER@HOST:PORT/DATABASE"
_SOURCE = "must be an experiment's folder, or a study {storage: FILE or postgresql://USER@HOST/DATABASE, study: NAME}"


@dataclass(frozen=True)
class StorageUrl:
    """A PostgreSQL database: `shown` is its URL without the password, which is in no copy, repr or pickle of this.

    Without a password in the URL, the PostgreSQL client takes it from PGPASSWORD or ~/.pgpass.
    """

    shown: str
    password: str | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles the whole searcher into the experiment's folder.
        return {"shown": self.shown, "password": None}


def parse_url(url: str) -> StorageUrl:
    """Check a storage's URL and take the password out of it.

    Raises:
        ValueError: it is no PostgreSQL URL with a database; the line does not repeat it, because of the password.
    """
    rule = f"storage: must be {_FORM} (without this key, the study is an SQLite file in the experiment)"
    try:
        parts = urlsplit(url)
        _ = parts.port  # Raises where it is no number.
    except ValueError:
        raise ValueError(rule) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(f"{rule}, not {parts.scheme or 'a'}{'://…' if parts.scheme else ' path'}")
    named = bool(parts.path.strip("/"))
    if not named or "password=" in parts.query:
        raise ValueError(f"{rule}{'' if named else '; the database is missing'}")
    user, at, host = parts.netloc.rpartition("@")
    user, colon, password = user.partition(":")
    # Not `geturl`, which leaves out the slashes before an empty host: postgresql:///db is by a socket of this machine.
    query = f"?{parts.query}" if parts.query else ""
    shown = f"postgresql://{user}{at}{host}{parts.path}{query}"
    return StorageUrl(shown, unquote(password) if colon else None)


def optuna_address(url: StorageUrl) -> str:
    """Return the address as Optuna takes it, without the password."""
    return url.shown.replace("postgresql://", "postgresql+psycopg://", 1)


def redact(text: str) -> str:
    """Return `text` (a word of a command line, say) with the password of a URL in it replaced by ***."""
    before, separator, after = text.partition("://")
    credentials, at, rest = after.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{before}{separator}{user}:***{at}{rest}" if separator and at and colon else text


@dataclass(frozen=True)
class StudyAddress:
    """An Optuna study: its name, in an SQLite or a journal file or on a PostgreSQL server."""

    storage: Path | StorageUrl
    study: str

    def __str__(self) -> str:
        return "study {study!r} in {storage}".format(**self.as_json())

    def absolute(self) -> "StudyAddress":
        """Return it with a file's path made absolute."""
        return replace(self, storage=self.storage.absolute()) if isinstance(self.storage, Path) else self

    def as_json(self) -> dict[str, str]:
        """Return it as it stands in a sweep file, without a password."""
        return {"storage": getattr(self.storage, "shown", str(self.storage)), "study": self.study}


Source = str | StudyAddress


def parse_sources(raw: object) -> tuple[Source, ...]:
    """Check the key `warm_start`.

    Raises:
        ValueError: an entry is no source; the line does not repeat it, because of the password.
    """
    if not isinstance(raw, list | tuple):
        raise ValueError(f"warm_start: must be a list, each of which {_SOURCE}")
    return tuple(_source(f"warm_start[{at}]", one) for at, one in enumerate(raw))


def _source(where: str, raw: Any) -> Source:
    if isinstance(raw, StudyAddress) or (isinstance(raw, str) and raw and "://" not in raw):
        return raw
    named = isinstance(raw, dict) and raw.keys() == {"storage", "study"}
    if not named or not all(isinstance(value, str) and value for value in raw.values()):
        raise ValueError(f"{where}: {_SOURCE}")
    storage = raw["storage"]
    if storage.startswith("sqlite:///"):
        from sqlalchemy.engine import make_url

        storage = make_url(storage).database or storage
    if "://" not in storage:
        return StudyAddress(_file(where, storage), raw["study"])
    try:
        return StudyAddress(parse_url(storage), raw["study"])
    except ValueError:
        raise ValueError(f"{where}: {_SOURCE}") from None


def _file(where: str, path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # There is no such user.
        raise ValueError(f"{where}: {path!r} can be no path here: {error}") from None
