"""Files and folders that appear whole; CSV tables; pictures as data URIs."""

import base64
import csv
import errno
import io
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.errors import UserError

Row = dict[str, str]


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


@contextmanager
def whole_or_nothing(out: Path, needed_bytes: int = 0) -> Iterator[Path]:
    """A temporary folder beside `out` that becomes `out` when the body ends well, and vanishes otherwise.

    Raises:
        UserError: fewer than `needed_bytes` are free, or the disk fills up, or the folder cannot be written.
    """
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out.parent).free
        if free < needed_bytes:
            raise UserError(f"{out.parent} has {free:,} bytes free, and {needed_bytes:,} are needed: the disk is full")
        partial.mkdir()
        yield partial
        # Onto an empty folder a rename works; onto one that someone filled meanwhile it fails, as it should.
        partial.replace(out)
    except OSError as error:
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise UserError(f"{out} could not be written: {why}; nothing was kept") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def unfinished(file: Path) -> Iterator[Path]:
    """A temporary name beside `file`, to be renamed by the body; what still has that name at its end is deleted.

    The folder is made where it is missing. Two processes, also of two machines, get two names for one file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{socket.gethostname()}-{os.getpid()}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary name that becomes `file` when the body ends well: a reader sees the old file or the whole new one."""
    with unfinished(file) as temporary:
        yield temporary
        temporary.replace(file)


def write_text(text: str, file: Path) -> None:
    """Write UTF-8 text; a reader sees the old file or the whole new one."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value: object, file: Path) -> None:
    """Write `value` as JSON; a reader sees the old file or the whole new one."""
    write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", file)


def write_rows(file: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file, UTF-8."""
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(list(header))
        writer.writerows(list(row) for row in rows)


def read_rows(file: Path) -> list[Row]:
    """Read the rows of a CSV file, UTF-8, by column name."""
    return [row for _, row in parse_table(read_text(file))[1]]


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
