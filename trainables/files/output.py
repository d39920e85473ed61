"""Files and folders that appear whole, also after a power cut; CSV tables; pictures as data URIs.

What a name promises is on the disk before it has that name, and the name itself before the next step begins.
"""

import base64
import csv
import errno
import glob
import io
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.errors import UserError

Row = dict[str, str]
# What `unfinished` and `whole_or_nothing` name: .NAME.HOST-PID and .NAME.partial-HOST-PID.
_UNFINISHED = r"\..+\.(partial-)?{host}-(?P<pid>[0-9]+)"
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def check_free(out: Path) -> None:
    """Refuse an output folder that holds anything.

    Raises:
        UserError: it exists and is not an empty folder; the line says what is in it.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; the output must be a new or an empty folder")
    inside = sorted(path.name for path in out.iterdir())
    if inside:
        some = ", ".join(inside[:4]) + (f" and {len(inside) - 4} more" if len(inside) > 4 else "")
        raise UserError(f"{out} is not empty ({some}); name a new folder, or delete this one first")


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk; not every file system can for a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing, on the disk too."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def append_line(text: str, file: Path) -> None:
    """Append a line of UTF-8 text to a file, and wait until it is on the disk."""
    make_folder(file.parent)
    new = not file.exists()
    with file.open("a", encoding="utf-8") as lines:
        lines.write(text + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    if new:
        sync(file.parent)


def _own() -> str:
    """What this process's unfinished files are marked with."""
    return f"{socket.gethostname()}-{os.getpid()}"


def is_unfinished(name: str) -> bool:
    """Whether a file or folder of this name is one that is being written, or was when its process was killed."""
    return re.fullmatch(_UNFINISHED.format(host=".+"), name) is not None


def remove_unfinished(folder: Path, of: str = "*") -> None:
    """Remove the unfinished files and folders that killed processes of this machine have left in `folder`.

    Args:
        of: a pattern of the names that they would have had.
    """
    of_here = re.compile(_UNFINISHED.format(host=re.escape(socket.gethostname())))
    for rest in folder.glob(f".{of}"):
        found = of_here.fullmatch(rest.name)
        # One of our own number is of a process before a restart, or of another container's life.
        if found is None or ((pid := int(found["pid"])) != os.getpid() and _alive(pid)):
            continue
        if rest.is_dir():
            shutil.rmtree(rest, ignore_errors=True)
        else:
            rest.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def whole_or_nothing(out: Path, needed_bytes: int = 0) -> Iterator[Path]:
    """A temporary folder beside `out` that becomes `out` when the body ends well, and vanishes otherwise.

    Raises:
        UserError: fewer than `needed_bytes` are free, or the disk fills up, or the folder cannot be written.
    """
    partial = out.with_name(f".{out.name}.partial-{_own()}")
    try:
        make_folder(out.parent)
        remove_unfinished(out.parent, f"{glob.escape(out.name)}.partial-*")
        free = shutil.disk_usage(out.parent).free
        if free < needed_bytes:
            raise UserError(f"{out.parent} has {free:,} bytes free, and {needed_bytes:,} are needed: the disk is full")
        partial.mkdir()
        yield partial
        for path in partial.rglob("*"):
            sync(path)
        sync(partial)
        # Onto an empty folder a rename works; onto one that someone filled meanwhile it fails, as it should.
        partial.replace(out)
        sync(out.parent)
    except OSError as error:
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise UserError(f"{out} could not be written: {why}; nothing was kept") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_room(out: Path, needed_bytes: int) -> None:
    """Refuse a place that cannot be written, before anything is computed for it.

    Raises:
        UserError: the folder that `out` is to lie in cannot be written, or has too little room.
    """
    nearest = next(folder for folder in (out.parent, *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(nearest).free
    if free < needed_bytes:
        raise UserError(f"{out}: {free:,} bytes are free there, and about {needed_bytes:,} are needed")
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(b"x")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}; name another folder") from None


def whole_or_elsewhere(out: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder that becomes `out`; if that fails, one in the folder of temporary files.

    Raises:
        UserError: `out` could not be written; the line says where the folder is instead.
    """
    try:
        with whole_or_nothing(out) as folder:
            write(folder)
    except UserError as error:
        second = Path(tempfile.mkdtemp(prefix="raretune-")) / out.name
        try:
            with whole_or_nothing(second) as folder:
                write(folder)
        except UserError:
            raise error from None
        raise UserError(f"{error}; but all of it is in {second}: make room, and move it to {out}") from None


@contextmanager
def unfinished(file: Path) -> Iterator[Path]:
    """A temporary name beside `file`, to be renamed by the body; what still has that name at its end is deleted.

    The folder is made where it is missing. Two processes, also of two machines, get two names for one file.
    """
    make_folder(file.parent)
    temporary = file.with_name(f".{file.name}.{_own()}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary name that becomes `file` when the body ends well: a reader sees the old file or the whole new one."""
    with unfinished(file) as temporary:
        yield temporary
        sync(temporary)
        temporary.replace(file)
        sync(file.parent)


def write_text(text: str, file: Path) -> None:
    """Write UTF-8 text; a reader sees the old file or the whole new one."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: object, file: Path) -> None:
    """Write `value` as JSON; a reader sees the old file or the whole new one."""
    write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", file)


def write_rows(file: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file, UTF-8; its texts are no formulas to a spreadsheet (`as_text`)."""
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(list(header))
        writer.writerows([as_text(cell) for cell in row] for row in rows)


def as_text(cell: object) -> object:
    """Return a cell so that no spreadsheet takes its text for a formula: with an apostrophe before it.

    A family or a file may be called =HYPERLINK(…), and a person opens the table. `restored` takes the apostrophe away.
    """
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return cell
    try:
        float(cell)  # Such as -0.5, which is one.
    except ValueError:
        return f"'{cell}"
    return cell


def restored(cell: str) -> str:
    """Return the text that `as_text` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_rows(file: Path) -> list[Row]:
    """Read the rows of a CSV file that `write_rows` wrote, UTF-8, by column name."""
    rows = (row for _, row in parse_table(read_text(file))[1])
    return [{name: restored(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows]


def read_text(file: Path) -> str:
    """Read UTF-8 text without a byte order mark, and with the line ends of the file."""
    return file.read_bytes().decode("utf-8-sig")


def parse_table(text: str, separator: str = ",") -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """Read CSV text: the names of its columns, and its rows, each with the number of its last line in the file.

    The text's line ends are those of the file: a quoted field may hold one.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    return list(reader.fieldnames or []), ((reader.line_num, row) for row in reader)


@contextmanager
def named_errors(file: Path, hint: str) -> Iterator[None]:
    """Say in one line why a text or CSV file of the user's could not be read; `hint` is what would be valid.

    Raises:
        UserError: the file is missing, no UTF-8 text, no CSV, or cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{file} does not exist; {hint}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text (byte {error.start}); {hint}") from None
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV file: {error}; {hint}") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; {hint}") from None


def data_uri(content: bytes, kind: str = "image/jpeg") -> str:
    """A file's content as a URI that stands in a page itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
