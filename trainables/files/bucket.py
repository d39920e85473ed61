"""Files in a folder, or below a URL by pyarrow or fsspec.

s3://, gs:// and abfs:// go through pyarrow, whose wheel holds their clients, all others through fsspec. Credentials,
regions and endpoints come from where those clients look: AWS_PROFILE, AWS_ENDPOINT_URL, a machine's role, gcloud's
login and so on. They may not stand in a URL, because a URL is written into records.
"""

import glob
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from trainables.errors import UserError, message_of
from trainables.files.output import unfinished

_PROBE = ".writable"
_BLOCK = 2**22
_SECRET = re.compile(r"(key|token|secret|password|signature|sig)=", re.IGNORECASE)
_BY_PYARROW = ("s3", "gs", "gcs", "abfs", "abfss", "file")
_OBJECT_STORES = ("s3", "gcs", "abfs")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def is_url(place: Path | str) -> TypeGuard[str]:
    """Say whether a place is a URL, and not a folder."""
    return isinstance(place, str) and _URL.match(place) is not None


def folder_or_url(place: str) -> Path | str:
    """Take a place from the command line: a URL as it is (a path would swallow one of its slashes), else a path."""
    return place if is_url(place) else Path(place)


@dataclass(frozen=True)
class Bucket:
    """A folder at a URL: `files` is its pyarrow file system, `path` the folder's name there.

    Raises:
        UserError: by every method, where there is no such bucket, no permission, or the place cannot be reached.
    """

    url: str
    files: Any
    path: str

    def names(self) -> list[str]:
        """Return the names of all files below, sorted; none where there is no such folder."""
        return sorted(self.entries())

    def entries(self, below: str = "") -> dict[str, tuple[int, int | None]]:
        """Return the files in the folder `below` (all where empty) by their names; none where it is missing.

        Of each its size in bytes, and when it was last written (ns; None where its place does not say).
        """
        from pyarrow import fs

        folder = f"{self.path}/{below}".rstrip("/")
        with self._named("its files cannot be listed"):
            found = self.files.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        return {
            info.path.removeprefix(f"{self.path}/"): (info.size or 0, info.mtime_ns) for info in found if info.is_file
        }

    def sizes(self) -> dict[str, int]:
        """Return the sizes of all files below, in bytes, by their names; none where there is no such folder."""
        return {name: size for name, (size, _) in self.entries().items()}

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file; None where there is none."""
        with self._named(f"{name} cannot be read"):
            try:
                with self.files.open_input_stream(f"{self.path}/{name}") as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file, which must be there, in blocks of a few MiB."""
        with self._named(f"{name} cannot be read"), self.files.open_input_stream(f"{self.path}/{name}") as stream:
            while block := stream.read(_BLOCK):
                yield block

    def send(self, file: Path, name: str) -> None:
        """Write a local file there; a reader sees the old one or the whole new one."""
        target = f"{self.path}/{name}"
        with self._named(f"{name} cannot be written"):
            if self.files.type_name in _OBJECT_STORES:  # An object is there when all of it is.
                self._copy(file, target)
                return
            folder, _, last = target.rpartition("/")
            # Two may write it at the same time: a driver that was killed leaves workers for a moment.
            partial = f"{folder}/.{last}.{uuid.uuid4().hex[:8]}.partial"
            self.files.create_dir(folder, recursive=True)
            self._copy(file, partial)
            self.files.move(partial, target)

    def put(self, content: bytes | memoryview, name: str) -> None:
        """Write a file of this content there, as `send` does."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self.send(Path(file.name), name)

    def add(self, beginning: str, write: Callable[[Path], str]) -> None:
        """See `Folder`."""
        with tempfile.TemporaryDirectory(prefix="raretune-") as temporary:
            file = Path(temporary) / beginning
            name = write(file)
            self.send(file, name)

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is no error."""
        with self._named(f"{name} cannot be deleted"), suppress(FileNotFoundError):
            self.files.delete_file(f"{self.path}/{name}")

    def clear_unfinished(self, prefix: str) -> None:
        """Do nothing: an object is there when all of it is, and what `send` leaves elsewhere is hidden."""

    def check_writable(self) -> None:
        """Write an empty file there and delete it."""
        self.put(b"", _PROBE)
        self.delete(_PROBE)

    def _copy(self, file: Path, target: str) -> None:
        with file.open("rb") as source, self.files.open_output_stream(target) as sink:
            while block := source.read(_BLOCK):
                sink.write(block)

    @contextmanager
    def _named(self, problem: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Each client has errors of its own, and fsspec's share no class.
            raise UserError(f"{self.url}: {problem}: {_short(error)}") from None


@dataclass(frozen=True)
class Folder:
    """The files of a folder, by the methods of a `Bucket`.

    Raises:
        OSError: by every method but `read`, where the disk is full, say.
    """

    folder: Path

    def sizes(self) -> dict[str, int]:
        """Return the files' sizes in bytes by their names; one that vanishes meanwhile is left out."""
        found = {}
        for file in self.folder.glob("*"):
            with suppress(FileNotFoundError):  # A worker has just replaced it.
                found[file.name] = file.stat().st_size
        return found

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where it cannot be read."""
        with suppress(OSError):
            return (self.folder / name).read_bytes()
        return None

    def add(self, beginning: str, write: Callable[[Path], str]) -> None:
        """Have `write` write a file at a given path and return its name, which begins with `beginning`."""
        # The worker of a driver that was killed may live a moment longer and write the same file under its own name.
        with unfinished(self.folder / beginning) as temporary:
            temporary.replace(self.folder / write(temporary))

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def clear_unfinished(self, prefix: str) -> None:
        """Delete what a process that was killed has left of files whose names begin so."""
        for file in self.folder.glob(f".{glob.escape(prefix)}*"):
            file.unlink(missing_ok=True)


def open_store(place: Path | str) -> Folder | Bucket:
    """Return the files of a folder or of a URL; nothing is written yet.

    Raises:
        UserError: a URL's protocol is unknown, its package is missing, or credentials stand in it.
    """
    return open_bucket(place) if is_url(place) else Folder(Path(place))


def open_bucket(url: str) -> Bucket:
    """Find the file system behind a URL; nothing is asked of it yet, as far as its client allows.

    Raises:
        UserError: the protocol is unknown, the package for it is missing, or credentials stand in the URL.
    """
    from pyarrow import ArrowInvalid, fs

    protocol, url = check_url(url), url.rstrip("/")
    try:
        if protocol in _BY_PYARROW:
            files, path = fs.FileSystem.from_uri(url)
        else:
            import fsspec

            files, path = fsspec.core.url_to_fs(url)
            files = fs.PyFileSystem(fs.FSSpecHandler(files))
    except ImportError as error:
        raise UserError(f"{url}: a package for {protocol}:// is missing: {_short(error)}") from None
    except (ArrowInvalid, OSError, ValueError) as error:
        some = "s3, gs, abfs, file, and what fsspec has a package for"
        raise UserError(f"{url} cannot be used: {_short(error)} (known are {some})") from None
    return Bucket(url, files, str(path).rstrip("/"))


def check_url(url: str) -> str:
    """Return a URL's protocol; nothing is asked of the place.

    Raises:
        UserError: it is no URL, or credentials stand in it.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UserError(f"{url} is no URL: {error}") from None
    if ":" in parts.netloc.rpartition("@")[0] or _SECRET.search(parts.query):
        raise UserError(
            f"a URL of {parts.scheme}:// holds credentials, and would be written into records; "
            "give them by the environment, a profile or the machine's role"
        )
    return parts.scheme


def _short(error: Exception) -> str:
    """What an error of a client says, without the parts that only its maker needs."""
    return re.sub(r" \(Request ID: .*?\)", "", message_of(error))[:300]
