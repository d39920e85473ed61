"""Files that come and go, in a folder or at a URL: each is there with all its content, or not at all."""

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from trainables.files.bucket import Bucket, is_url, open_bucket


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
        """Have `write` write a file at the path that it is given, then name it as it says: whole or absent.

        Args:
            beginning: what its name begins with.
        """

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

    def clear_unfinished(self, prefix: str) -> None:
        """Delete what a process that was killed has left of files whose names begin so."""


def open_shelf(place: Path | str) -> FileStore:
    """Return the files of a folder or of a URL; nothing is written yet.

    Raises:
        UserError: as trainables.files.bucket.open_bucket.
    """
    return BucketShelf(open_bucket(place)) if isinstance(place, str) and is_url(place) else FolderShelf(Path(place))


class FolderShelf:
    """The files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sizes(self) -> dict[str, int]:
        """See FileStore; a file that vanishes meanwhile is left out."""
        found = {}
        for file in self._folder.glob("*"):
            try:
                found[file.name] = file.stat().st_size
            except FileNotFoundError:  # A worker has just replaced it.
                continue
        return found

    def read(self, name: str) -> bytes | None:
        """See FileStore."""
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def put(self, beginning: str, write: Callable[[Path], str]) -> None:
        """See FileStore."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # The worker of a driver that was killed may live a moment longer and write the same file.
        temporary = self._folder / f".{beginning}.{socket.gethostname()}-{os.getpid()}"
        try:
            name = write(temporary)
            temporary.replace(self._folder / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def delete(self, name: str) -> None:
        """See FileStore."""
        (self._folder / name).unlink(missing_ok=True)

    def clear_unfinished(self, prefix: str) -> None:
        """See FileStore."""
        for unfinished in self._folder.glob(f".{prefix}*"):
            unfinished.unlink(missing_ok=True)


class BucketShelf:
    """The files at a URL, with those of folders below."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def sizes(self) -> dict[str, int]:
        """See FileStore."""
        return {name: entry.size for name, entry in self._bucket.entries().items()}

    def read(self, name: str) -> bytes | None:
        """See FileStore."""
        return self._bucket.read(name)

    def put(self, beginning: str, write: Callable[[Path], str]) -> None:
        """See FileStore."""
        with tempfile.TemporaryDirectory(prefix="raretune-") as temporary:
            file = Path(temporary) / beginning
            name = write(file)
            self._bucket.send(file, name)

    def delete(self, name: str) -> None:
        """See FileStore."""
        self._bucket.delete(name)

    def clear_unfinished(self, prefix: str) -> None:
        """Do nothing: an object is there when all of it is, and what `Bucket.send` leaves elsewhere is hidden."""
