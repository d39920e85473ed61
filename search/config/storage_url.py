"""Storage URLs: parse, redact, and turn into an Optuna address."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

_FORM = "postgresql://USER@HOST:PORT/DATABASE"


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
        ValueError: it is no PostgreSQL URL with a database; the line does not repeat it, as it may hold a password.
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
    shown = parts._replace(scheme="postgresql", netloc=f"{user}{at}{host}").geturl()
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
