"""Hugging Face's imagefolder: metadata.csv, .jsonl or .parquet with a file_name for each photo."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from trainables.data.class_folders import SPLIT_OF
from trainables.data.formats.records import shared
from trainables.data.formats.times import TIME_COLUMNS, parse_time
from trainables.data.photo_files import Found, PhotoFile, path_id, path_key, photo_files
from trainables.errors import UserError, message_of
from trainables.files.output import named_errors, parse_table, read_text

_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_FILE_NAME = "file_name"
_LABELS = ("label", "family")  # What a label's column is called where `--label-level` says nothing.


class MetadataTable:
    """Photos whose labels stand in a table beside them, or in one in each split's folder."""

    name = "metadata table"
    rule = "the metadata table has a row with a label for each"

    def recognises(self, root: Path) -> bool:
        """Whether a metadata file with a column file_name lies in `root`, or in folders called as splits are."""
        return any(_FILE_NAME in columns for columns in map(_columns, _tables(root)))

    def find(self, root: Path, level: str) -> Found:
        """See Layout; `level` may be the name of any column, and is the column label or family if it is "family"."""
        found = Found(self.name)
        tables = [table for table in _tables(root) if _FILE_NAME in _columns(table)]
        columns = dict.fromkeys(column for table in tables for column in _columns(table))
        found.columns = tuple(column for column in columns if column != _FILE_NAME)
        rows: dict[str, list[_Row]] = {}  # by path_key
        for table in tables:
            column = _label_column(table, level)
            folder = table.parent.relative_to(root).as_posix()
            for number, row in _rows(table):
                name = "" if row.get(_FILE_NAME) is None else str(row[_FILE_NAME])
                key = path_key(name if folder == "." else f"{folder}/{name}")
                label = "" if row.get(column) is None else str(row[column]).strip()
                values = shared(row.get(each) for each in found.columns)
                time = next((parse_time(str(row[each])) for each in TIME_COLUMNS if row.get(each) is not None), None)
                where = f"{table.relative_to(root)} row {number}"
                rows.setdefault(key, []).append(_Row(where, label, values, time))
        names = tuple(table.relative_to(root).as_posix() for table in tables)
        sources = {path_key(source): source for source in photo_files(root, found, names)}
        for key, of_key in rows.items():
            _match(key, of_key, sources.pop(key, None), found)
        for source in sources.values():
            found.exclude(source, "no_row", f"{' and '.join(names)} has no row for this file")
        if names[0].count("/"):
            found.splits = {
                photo.source: SPLIT_OF[photo.source.split("/")[0].lower()]
                for photo in found.photos
                if photo.source.split("/")[0].lower() in SPLIT_OF
            }
        return found


class _Row(NamedTuple):
    """What a table says of a photo: `values` are of `Found.columns`."""

    where: str
    label: str
    values: tuple[str, ...]
    time: datetime | None


def _match(key: str, rows: list[_Row], source: str | None, found: Found) -> None:
    """Give the photo of one key its label, or say why it has none."""
    where, label, values, time = rows[0]
    labels = sorted({row.label for row in rows})
    if source is None:
        found.exclude(key, "no_file", f"{where}: there is no such photo", label)
    elif len(labels) > 1:
        found.exclude(source, "two_labels", f"{where}: {' and '.join(label or '(empty)' for label in labels)}", label)
    elif not label:
        found.exclude(source, "no_label", f"{where}: the label is empty")
    else:
        found.photos.append(PhotoFile(path_id(source), source, label, values=values, time=time))


def _tables(root: Path) -> list[Path]:
    """The metadata files in `root`, else those in its split folders."""
    here = [root / name for name in _FILES if (root / name).is_file()]
    if here:
        return here[:1]
    folders = sorted(each for each in root.iterdir() if each.is_dir() and each.name.lower() in SPLIT_OF)
    return [folder / name for folder in folders for name in _FILES if (folder / name).is_file()]


def _label_column(table: Path, level: str) -> str:
    columns = _columns(table)
    wanted = _LABELS if level == "family" else (level,)
    column = next((name for name in wanted if name in columns), None)
    if column is None:
        others = ", ".join(name for name in columns if name != _FILE_NAME) or "none"
        what = f"no label level is called {level!r}" if level != "family" else f"{table} has no column label or family"
        raise UserError(f"{what}; --label-level names the label's column, and {table.name} has {others}")
    return column


def _columns(table: Path) -> list[str]:
    """Names of a table's columns; of JSON lines, those of its first row."""
    with _named_errors(table):
        if table.suffix == ".parquet":
            import pyarrow.parquet

            return list(pyarrow.parquet.read_schema(table).names)
        if table.suffix == ".jsonl":
            return list(next((row for _, row in _rows(table)), {}))
        return parse_table(read_text(table))[0]


def _rows(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of a table, each with its line, counted from 1 (in Parquet its row).

    Raises:
        UserError: the file cannot be read; the line says where.
    """
    with _named_errors(table):
        if table.suffix == ".parquet":
            import pyarrow.parquet

            yield from enumerate(pyarrow.parquet.read_table(table).to_pylist(), start=1)
        elif table.suffix == ".jsonl":
            for number, line in enumerate(read_text(table).splitlines(), start=1):
                row = json.loads(line) if line.strip() else {}
                if not isinstance(row, dict):
                    raise UserError(f"{table} line {number} is no JSON object; each line is one")
                if row:
                    yield number, row
        else:
            yield from parse_table(read_text(table))[1]


@contextmanager
def _named_errors(table: Path) -> Iterator[None]:
    hint = "save it as CSV, JSON lines or Parquet"
    try:
        with named_errors(table, hint):
            yield
    except ValueError as error:  # Of JSON or Parquet.
        raise UserError(f"{table} cannot be read: {message_of(error)}; {hint}") from None
