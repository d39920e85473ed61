"""A disk that forgets what was not synced: it records what is written below a folder, and lays out what is left of it.

Every change is seen at the next event: Python's audit events of opening, renaming, making and removing, and `os.fsync`.
At each, the folder is compared with how it was before. So writers in C are seen too, at the next event of this process;
they must not write in another process. Threads may write at once: one looks at a time, and the others wait at their
next event; what one of them removes while another looks is taken as removed.

The model is that of ext4 and its like. Names appear and disappear in the order in which they were made, and a sync of
anything brings all names before it to the disk; the content of a file is there once that file was synced, and otherwise
may be missing, or zeros.

SQLite syncs in C, where no event is seen: files in `synced` are taken as synced whenever they are seen, which is what
`PRAGMA synchronous=FULL` promises of a database between two transactions (a test holds that it is set).
"""

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

Loss = Literal["killed", "content", "zeros", "names"]
# What is left at a moment: of a process that was killed, all; after a power cut all names, but of the content only what
# was synced, the rest being empty or zeros; or only the names, too, that a sync had brought to the disk.
LOSSES: tuple[Loss, ...] = ("killed", "content", "zeros", "names")
_FOLDER = b"\0folder"
_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "sqlite3.connect"}


class Seen(NamedTuple):
    """A file or folder as it was last seen."""

    inode: int
    size: int
    changed: int


@dataclass
class State:
    """What a disk holds: names of inodes, and the content of each."""

    names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One change: a new table of names, the content of an inode, or a sync of one."""

    kind: Literal["names", "write", "sync"]
    inode: int = 0
    content: bytes = b""
    names: dict[str, int] = field(default_factory=dict)


class ForgetfulDisk:
    """What happens below `root` while `recording`, step by step."""

    def __init__(self, root: Path, synced: tuple[str, ...] = (), ignored: tuple[str, ...] = ()) -> None:
        """Args: `synced` and `ignored` are beginnings of file names."""
        self.root = root
        self.steps: list[Step] = []
        self._synced, self._ignored = synced, ignored
        self._seen: dict[str, Seen] = {}
        self._ids: dict[int, int] = {}  # Of inodes, which are used again, by an id that is not.
        self._next = 1
        self._one_at_a_time = threading.RLock()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what this process writes in the body."""
        fsync, root = os.fsync, self.root.stat()

        def noted(descriptor: int) -> None:
            with self._one_at_a_time:
                self.look()
                fsync(descriptor)
                found = os.fstat(descriptor)
                inode = 0 if os.path.samestat(found, root) else self._ids.get(found.st_ino)
                if inode is not None:
                    self.steps.append(Step("sync", inode))

        _hook(self)
        os.fsync = noted  # type: ignore[assignment]
        try:
            self.look()
            yield
            self.look()
        finally:
            os.fsync = fsync
            _hook(None)

    def look(self) -> None:
        """Note what has changed."""
        with self._one_at_a_time, _hook_off():
            self._look()

    def _look(self) -> None:
        found, contents = self._what_is_there()
        inodes = {seen.inode for seen in found.values()}
        for gone in self._ids.keys() - inodes:
            del self._ids[gone]
        for seen in found.values():
            if seen.inode not in self._ids:
                self._ids[seen.inode] = self._next
                self._next += 1
        names = {name: self._ids[seen.inode] for name, seen in found.items()}
        for name, content in contents.items():
            self._note_content(name, names[name], content)
        if names != self._names():
            self.steps.append(Step("names", names=names))
        self._seen = found

    def _what_is_there(self) -> tuple[dict[str, Seen], dict[str, bytes]]:
        """All that is below the root, and the content of what has changed."""
        found, contents = {}, {}
        for name, seen in self._walk():
            place = self.root / name
            try:
                if self._seen.get(name) != seen:
                    contents[name] = _FOLDER if place.is_dir() else place.read_bytes()
            except FileNotFoundError:  # Another thread has removed it since.
                continue
            found[name] = seen
        return found, contents

    def moments(self) -> list[int]:
        """After how many steps something can be left that is not left elsewhere."""
        return list(range(len(self.steps) + 1))

    def lay_out(self, moment: int, loss: Loss) -> None:
        """Replace what is below the root by what a power cut after so many steps leaves."""
        state = self.left(moment, loss)
        with _hook_off():
            shutil.rmtree(self.root, ignore_errors=True)
            self.root.mkdir()
            for name in sorted(state.names):
                place, content = self.root / name, state.contents[state.names[name]]
                if content == _FOLDER:
                    place.mkdir()
                else:
                    place.write_bytes(content)

    def left(self, moment: int, loss: Loss) -> State:
        """What is left after so many steps."""
        now, synced = State(), State()
        for step in self.steps[:moment]:
            if step.kind == "names":
                now.names = step.names
            elif step.kind == "write":
                now.contents[step.inode] = step.content
            else:
                synced.names = now.names
                synced.contents[step.inode] = now.contents.get(step.inode, b"")
        if loss == "killed":
            return now
        names = synced.names if loss == "names" else now.names
        contents = {}
        for inode in names.values():
            content = now.contents.get(inode, b"")
            lost = content if content == _FOLDER else bytes(len(content) if loss == "zeros" else 0)
            contents[inode] = synced.contents.get(inode, lost)
        return State(names, contents)

    def _names(self) -> dict[str, int]:
        return next((step.names for step in reversed(self.steps) if step.kind == "names"), {})

    def _note_content(self, name: str, inode: int, content: bytes) -> None:
        before = next((s.content for s in reversed(self.steps) if s.kind == "write" and s.inode == inode), None)
        if content == before:
            return
        self.steps.append(Step("write", inode, content))
        if Path(name).name.startswith(self._synced):
            self.steps.append(Step("sync", inode))

    def _walk(self) -> Iterator[tuple[str, Seen]]:
        for folder, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                place = os.path.join(folder, name)  # noqa: PTH118 - thousands of times
                if name.startswith(self._ignored):
                    continue
                try:
                    found = os.lstat(place)
                except FileNotFoundError:
                    continue
                yield os.path.relpath(place, self.root), Seen(found.st_ino, found.st_size, found.st_mtime_ns)


# Audit hooks stay for ever, so there is one, which is turned on and off.
_active: ForgetfulDisk | None = None
_own = threading.local()  # `looking`: what this thread opens is no event.


def _hook(disk: ForgetfulDisk | None) -> None:
    global _active
    _install()
    _active = disk


@contextmanager
def _hook_off() -> Iterator[None]:
    before = getattr(_own, "looking", False)
    _own.looking = True
    try:
        yield
    finally:
        _own.looking = before


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _active is None or getattr(_own, "looking", False) or event not in _EVENTS:
        return
    if event == "open" and len(arguments) > 2 and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        return
    if not any(str(argument).startswith(str(_active.root)) for argument in arguments[:2]):
        return
    _active.look()


_installed: list[Callable[..., None]] = []


def _install() -> None:
    if not _installed:
        _installed.append(_audit)
        sys.addaudithook(_audit)
