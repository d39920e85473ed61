"""A store of whole files, in a folder or at a URL."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainables.files.bucket import Bucket, is_url, open_bucket
from trainables.files.output import unfinished


class FileStore(Protocol):
    """One contract for both kinds of place.

    Raises:
        OSError: of a folder, the disk is full, say.
        UserError: of a URL, it cannot be reached, or refuses.
    """

    def sizes(self) -> dict[str, int]:
        """Return the files' names with their sizes in bytes; none where there is no such place yet."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where it cannot be read."""

    def put(self, beginning: str, write: Callable[[Path], str]) -> None:
        """Have `write` write a file at a given path and return its name, which begins with `beginning`."""

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

    def clear_unfinished(self, prefix: str) -> None:
        """Delete what a process that was killed has left of files whose names begin so."""


def open_store(place: Path | str) -> FileStore:
    """Return the files of a folder or of a URL; nothing is written yet.

    Raises:
        UserError: as trainables.files.bucket.open_bucket.
    """
    return BucketStore(open_bucket(place)) if isinstance(place, str) and is_url(place) else FolderStore(Path(place))


@dataclass(frozen=True)
class FolderStore:
    """The files of a folder."""

    folder: Path

    def sizes(self) -> dict[str, int]:
        """See FileStore; a file that vanishes meanwhile is left out."""
        found = {}
        for file in self.folder.glob("*"):
            with suppress(FileNotFoundError):  # A worker has just replaced it.
                found[file.name] = file.stat().st_size
        return found

    def read(self, name: str) -> bytes | None:
        """See FileStore."""
        with suppress(OSError):
            return (self.folder / name).read_bytes()
        return None

    def put(self, beginning: str, write: Callable[[Path], str]) -> None:
        """See FileStore."""
        # The worker of a driver that was killed may live a moment longer and write the same file under its own name.
        with unfinished(self.folder / beginning) as temporary:
            temporary.replace(self.folder / write(temporary))

    def delete(self, name: str) -> None:
        """See FileStore."""
        (self.folder / name).unlink(missing_ok=True)

    def clear_unfinished(self, prefix: str) -> None:
        """See FileStore."""
        for file in self.folder.glob(f".{prefix}*"):
            file.unlink(missing_ok=True)


@dataclass(frozen=True)
class BucketStore:
    """The files at a URL, with those of folders below."""

    bucket: Bucket

    def sizes(self) -> dict[str, int]:
        """See FileStore."""
        return {name: entry.size for name, entry in self.bucket.entries().items()}

    def read(self, name: str) -> bytes | None:
        """See FileStore."""
        return self.bucket.read(name)

    def put(self, beginning: str, write: Callable[[Path], str]) -> None:
        """See FileStore."""
        with tempfile.TemporaryDirectory(prefix="raretune-") as temporary:
            file = Path(temporary) / beginning
            name = write(file)
            self.bucket.send(file, name)

    def delete(self, name: str) -> None:
        """See FileStore."""
        self.bucket.delete(name)

    def clear_unfinished(self, prefix: str) -> None:
        """Do nothing: an object is there when all of it is, and what `Bucket.send` leaves elsewhere is hidden."""
