"""Parquet tables with the photos inside, as Hugging Face's hub keeps image datasets."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from trainables.data.formats.coco_ct import split_of_name
from trainables.data.formats.records import ANIMAL, Record, Table, shared
from trainables.data.formats.taxonomy import RANKS, Ranks, key
from trainables.data.formats.times import TIME_COLUMNS, parse_time
from trainables.data.photo_files import Found
from trainables.data.pictures.kinds import suffix_of
from trainables.errors import UserError

_LABELS = ("label", "labels", "scientific_name", "scientificname", "species", "name", "class", "category")
_BATCH = 64


class ParquetTables:
    """See formats.records.Format."""

    name = "Parquet tables"
    rule = "a row of a Parquet file holds each, with its label"

    def recognises(self, root: Path) -> bool:
        """There are Parquet files, and the first holds pictures."""
        files = _files(root)
        return bool(files) and _image_column(_schema(files[0])) is not None

    def read(self, root: Path) -> Table:
        """See Format; the photos are unpacked into a temporary folder, which goes with the result."""
        files = _files(root)
        unpacked = tempfile.TemporaryDirectory(prefix="raretune-")
        table = Table(Found(self.name, unpacked=unpacked))
        schema = _schema(files[0])
        image, label = _image_column(schema), _label_column(schema, files[0])
        named = _names(schema)
        table.columns = tuple(
            name for name in schema.names if name not in (image, label) and _is_plain(schema.field(name).type)
        )
        splits = {file: split_of_name(file.stem) or split_of_name(file.parent.name) for file in files}
        for file in files:
            try:
                _read_file(root, file, str(image), label, named, splits[file], Path(unpacked.name), table)
            except OSError as error:
                raise UserError(f"{file} cannot be unpacked to {unpacked.name}: {error.strerror or error}") from None
        return table


def _files(root: Path) -> list[Path]:
    """All but tables of photos that lie beside them, which have a name of their own (`metadata_table`)."""
    files = (file for pattern in ("*.parquet", "*/*.parquet") for file in root.glob(pattern))
    return sorted(file for file in files if file.name != "metadata.parquet")


def _schema(file: Path) -> Any:
    import pyarrow.parquet as parquet

    try:
        return parquet.read_schema(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is no Parquet file: {' '.join(str(error).split())}") from None


def _image_column(schema: Any) -> str | None:
    """The column of pictures: bytes, or Hugging Face's pair of bytes and path."""
    import pyarrow.types as types

    for field in schema:
        pair = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        if pair or (types.is_binary(field.type) and field.name in ("image", "img", "picture", "photo")):
            return str(field.name)
    return None


def _features(schema: Any) -> dict[str, Any]:
    try:
        return dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, ValueError, TypeError):
        return {}


def _names(schema: Any) -> dict[str, list[str]]:
    """The names of the numbers in Hugging Face's columns of classes."""
    features = _features(schema).items()
    return {column: list(each["names"]) for column, each in features if isinstance(each, dict) and "names" in each}


def _label_column(schema: Any, file: Path) -> str:
    named = list(_names(schema))
    if len(named) == 1:
        return named[0]
    by_lower: dict[str, str] = {name.lower(): name for name in reversed(schema.names)}
    usual = next((by_lower[name] for name in _LABELS if name in by_lower), None)
    rank = next((by_lower[name] for name in reversed(RANKS) if name in by_lower), None)
    if (found := usual or rank) is None:
        raise UserError(
            f"{file} has the columns {', '.join(schema.names)}; the label is looked for in {', '.join(_LABELS)}"
        )
    return found


def _is_plain(kind: Any) -> bool:
    import pyarrow.types as types

    wanted = (types.is_string, types.is_large_string, types.is_integer, types.is_boolean, types.is_temporal)
    return any(is_so(kind) for is_so in wanted)


def _read_file(
    root: Path,
    file: Path,
    image: str,
    label: str,
    named: dict[str, list[str]],
    split: str | None,
    out: Path,
    table: Table,
) -> None:
    """Unpack a file's pictures below `out`, and add its records."""
    import pyarrow.parquet as parquet

    name = file.relative_to(root).with_suffix("").as_posix()
    (out / name).mkdir(parents=True)
    number = 0
    for batch in parquet.ParquetFile(file).iter_batches(_BATCH):
        for row in batch.to_pylist():
            where = f"{file.name} row {number}"
            content, path = _content(row[image])
            suffix = suffix_of(content or b"") or Path(path).suffix.lower() or ".jpg"
            source, number = f"{name}/{number:07d}{suffix}", number + 1
            if content is None:
                table.found.exclude(source, "no_file", f"{where}: {path or 'no picture'} is not in the table")
                continue
            (out / source).write_bytes(content)
            _add(row, source, label, named, split, hashlib.sha256(content).hexdigest()[:20], where, table)


def _add(
    row: dict[str, Any], source: str, label: str, named: dict[str, list[str]], split: str | None, photo_id: str,
    where: str, table: Table,
) -> None:  # fmt: skip
    def text(column: str) -> str:
        value = row[column]
        if column in named and isinstance(value, int):
            return named[column][value] if 0 <= value < len(named[column]) else ""
        return "" if value is None else str(value)

    ranks: Ranks = {rank: text(column) for column in row if (rank := column.lower()) in RANKS and text(column)}
    time = next((parse_time(text(each)) for each in TIME_COLUMNS if each in row), None)
    columns = shared(text(column) for column in table.columns)
    name = text(label)
    if not key(name):
        table.found.exclude(source, "no_label", f"{where}: {label} is empty, or no class has its number")
        return
    given = (split_of_name(str(row["split"])) if row.get("split") else None) or split
    table.records.append(Record(source, name, ANIMAL, ranks, photo_id, columns, time, given, None, where))


def _content(value: Any) -> tuple[bytes | None, str]:
    if isinstance(value, dict):
        return value.get("bytes"), str(value.get("path") or "")
    return value, ""
