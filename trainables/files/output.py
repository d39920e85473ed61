"""An output folder that appears whole or not at all."""

import csv
import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.errors import UserError


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


def write_json(value: object, file: Path) -> None:
    """Write `value` as JSON under a temporary name, then rename: never a half-written file."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    temporary.replace(file)


def write_rows(file: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file, UTF-8."""
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(list(header))
        writer.writerows(list(row) for row in rows)
