"""Sources of a warm start: experiments' folders and studies in storages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.config.storage_url import StorageUrl, parse_url

_SQLITE = "sqlite:///"
_RULE = "must be an experiment's folder, or a study {storage: FILE or postgresql://USER@HOST/DATABASE, study: NAME}"


@dataclass(frozen=True)
class StudyAddress:
    """An Optuna study: its name, in an SQLite or a journal file or on a PostgreSQL server."""

    storage: Path | StorageUrl
    study: str

    def __str__(self) -> str:
        return f"study {self.study!r} in {self._shown}"

    def as_json(self) -> dict[str, str]:
        """Return it as it stands in a sweep file, without a password."""
        return {"storage": self._shown, "study": self.study}

    @property
    def _shown(self) -> str:
        return str(self.storage) if isinstance(self.storage, Path) else self.storage.shown


Source = str | StudyAddress


def parse_sources(raw: object) -> tuple[Source, ...]:
    """Check the key `warm_start`.

    Raises:
        ValueError: an entry is no source; the line does not repeat it, as it may hold a password.
    """
    if not isinstance(raw, list | tuple):
        raise ValueError(f"warm_start: must be a list, each of which {_RULE}")
    return tuple(_source(f"warm_start[{at}]", one) for at, one in enumerate(raw))


def dump_sources(sources: tuple[Source, ...]) -> list[str | dict[str, str]]:
    """Write sources as they stand in a sweep file, without passwords."""
    return [source if isinstance(source, str) else source.as_json() for source in sources]


def _source(where: str, raw: Any) -> Source:
    if isinstance(raw, StudyAddress) or (isinstance(raw, str) and raw and "://" not in raw):
        return raw
    named = isinstance(raw, dict) and raw.keys() == {"storage", "study"}
    if not named or not all(isinstance(value, str) and value for value in raw.values()):
        raise ValueError(f"{where}: {_RULE}")
    storage = raw["storage"].removeprefix(_SQLITE)
    if "://" not in storage:
        return StudyAddress(Path(storage), raw["study"])
    try:
        return StudyAddress(parse_url(storage), raw["study"])
    except ValueError:
        raise ValueError(f"{where}: {_RULE}") from None
