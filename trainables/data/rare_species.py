"""The two metadata files of the Rare Species set: the study's metadata.csv and the hub's species catalogue."""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from trainables.errors import UserError

LEVELS = ("phylum", "class", "order", "family", "genus", "species")
STUDY_FILE = "metadata.csv"
HUB_FILE = "metadata/rarespecies-catalog.csv"

_STUDY_COLUMNS = ("rare_species_id", "eol_content_id", "eol_page_id", "phylum", "family", "file_path")
_HUB_COLUMNS = ("rarespecies_id", "eol_content_id", "eol_page_id", *LEVELS)
_HUB_NAME = re.compile(r"(\d+)_(\d+)(?!\d)")


class Row(NamedTuple):
    """One line of a metadata file: `key` finds its photo (`photo_key`), `where` finds the line again.

    `class_name` is "" where the level is not given; `species` is the eol_page_id.
    """

    key: str
    where: str
    photo_id: str
    class_name: str
    species: str
    content_id: int | None


def metadata_file(root: Path) -> Path | None:
    """The metadata file of a folder of photos, if there is one."""
    # The hub's copy has a metadata.csv of its own too, for its web viewer: where there is a catalogue, it decides.
    for name in (HUB_FILE, STUDY_FILE):
        if (root / name).is_file():
            return root / name
    return None


def is_hub(file: Path) -> bool:
    """Whether a metadata file is the hub's catalogue; otherwise it is the study's."""
    return file.name == Path(HUB_FILE).name


def photo_key(file: Path, path: str) -> str:
    """What a photo's path has in common with its row: in the study the path, in the hub `content id_page id`."""
    if is_hub(file):
        match = _HUB_NAME.match(path.rsplit("/", 1)[-1])
        return f"{int(match[1])}_{int(match[2])}" if match else path
    return path_key(path)


def path_key(path: str) -> str:
    """A path as it is compared: file systems may spell an accented name in another Unicode form than lists do."""
    return unicodedata.normalize("NFC", path.strip().replace("\\", "/").removeprefix("./"))


def read_rows(file: Path, level: str) -> list[Row]:
    """Read a metadata file with the label taken from `level`.

    Raises:
        UserError: unreadable, a column missing, a line too short, or a level that it does not have.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            return list(_rows(file, csv.DictReader(handle), level))
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV file: {error}") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None


def _rows(file: Path, reader: "csv.DictReader[str]", level: str) -> Iterator[Row]:
    needed = _HUB_COLUMNS if is_hub(file) else _STUDY_COLUMNS
    _check_columns(file, needed, reader.fieldnames or [], level)
    for row in reader:
        where = f"{file.name} line {reader.line_num}"
        if any(row[column] is None for column in needed):
            raise UserError(f"{where} has fewer fields than the header line; give it all of {', '.join(needed)}")
        yield _hub_row(row, where, level) if is_hub(file) else _study_row(row, where, level)


def _check_columns(file: Path, needed: Sequence[str], there: Sequence[str], level: str) -> None:
    missing = [column for column in needed if column not in there]
    if missing:
        has = ", ".join(there) or "none"
        raise UserError(f"{file} lacks the column(s) {', '.join(missing)}; it needs {', '.join(needed)} and has {has}")
    if level not in (*there, "species"):
        levels = ", ".join([name for name in LEVELS if name in there] + ["species"])
        raise UserError(f"{file} has no column for the label level {level!r}; it has {levels}")


def _study_row(row: dict[str, str], where: str, level: str) -> Row:
    page = row["eol_page_id"].strip()
    family = _joined(row["phylum"], row["family"])
    # The study knows a species by its page alone; the family in front makes the class readable.
    names = {"family": family, "species": _joined(family, page)}
    label = names[level] if level in names else _joined(row[level])
    key = path_key(row["file_path"])
    return Row(key, where, row["rare_species_id"].strip(), label, page, _number(row["eol_content_id"]))


def _hub_row(row: dict[str, str], where: str, level: str) -> Row:
    content, page = _number(row["eol_content_id"]), row["eol_page_id"].strip()
    # Families are named as in the study, so that a family is the same class whichever layout it came in.
    names = {"family": _joined(row["phylum"], row["family"]), "species": _joined(row["genus"], row["species"])}
    label = names[level] if level in names else _joined(row[level])
    return Row(f"{content}_{_number(page)}", where, row["rarespecies_id"].strip(), label, page, content)


def _joined(*parts: str) -> str:
    words = [part.strip().lower().replace(" ", "_") for part in parts]
    return "_".join(words) if all(words) else ""


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None
