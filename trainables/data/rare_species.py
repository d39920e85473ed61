"""The Rare Species set with metadata: the study's copy and the hub's."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainables.data.photo_files import Found, PhotoFile, path_id, path_key, photo_files
from trainables.errors import UserError
from trainables.files.output import named_errors, parse_table, read_text

LEVELS = ("phylum", "class", "order", "family", "genus", "species")
_FILES = ("metadata.csv", "metadata/rarespecies-catalog.csv")


class Row(NamedTuple):
    """One line of a metadata file: `key` finds its photo, `where` finds the line again.

    `class_name` is "" where the level is not given; `species` is the eol_page_id; `values` are those of all columns.
    """

    key: str
    where: str
    photo_id: str
    class_name: str
    species: str
    content_id: int | None
    values: tuple[str, ...]


@dataclass(frozen=True)
class MetadataLayout:
    """Photos whose labels stand in `file`, a CSV file with `columns`, the first of which is the photo id.

    `species` are the columns that name a species; what `row_key` makes of a row and `photo_key` of a photo's path is
    equal where the two belong together.
    """

    name: str
    file: str
    columns: tuple[str, ...]
    species: tuple[str, ...]
    row_key: Callable[[dict[str, str]], str]
    photo_key: Callable[[str], str]

    @property
    def rule(self) -> str:
        """What a photo needs."""
        return f"{Path(self.file).name} has a row with a label for each"

    def recognises(self, root: Path) -> bool:
        """See Layout."""
        return (root / self.file).is_file()

    def find(self, root: Path, level: str) -> Found:
        """See Layout; a photo whose id is empty or stands for another photo too gets one from its path."""
        file, found = root / self.file, Found(self.name)
        rows: dict[str, list[Row]] = {}
        found.columns, all_rows = self.read_rows(file, level)
        for row in all_rows:
            rows.setdefault(row.key, []).append(row)
        sources: dict[str, list[str]] = {}
        for source in photo_files(root, found, _FILES):
            sources.setdefault(self.photo_key(source), []).append(source)
        for key, of_key in rows.items():
            _match(key, of_key, sources.pop(key, []), found)
        for left in sources.values():
            for source in left:
                found.exclude(source, "no_row", f"{file.name} has no row for this file")
        repeated = [of_key[0].where for of_key in rows.values() if len(of_key) > 1]
        if repeated:
            found.warnings.append(f"{len(repeated)} photos have several rows, the first at {repeated[0]}")
        counts = Counter(photo.photo_id for photo in found.photos)
        doubtful = {photo_id for photo_id, count in counts.items() if count > 1 or not photo_id}
        if doubtful:
            found.photos = [
                photo._replace(photo_id=path_id(photo.source)) if photo.photo_id in doubtful else photo
                for photo in found.photos
            ]
            some = ", ".join(map(repr, sorted(doubtful)[:3]))
            problem = f"{len(doubtful)} photo ids are empty or stand for several photos ({some}): not used as ids"
            found.warnings.append(problem)
        return found

    def read_rows(self, file: Path, level: str) -> tuple[tuple[str, ...], list[Row]]:
        """Read a metadata file with the label taken from `level`: its columns and its rows.

        Raises:
            UserError: unreadable, a column missing, a line too short, or a level that it does not have.
        """
        with named_errors(file, "save it as CSV, UTF-8"):
            there, rows_by_line = parse_table(read_text(file))
            lines = list(rows_by_line)
        needed = ", ".join(self.columns)
        missing = [column for column in self.columns if column not in there]
        if missing:
            lacks, has = ", ".join(missing), ", ".join(there) or "none"
            needs = f"{needed}, or file_name and label"
            raise UserError(f"{file} lacks the column(s) {lacks}; it needs {needs}, and has {has}")
        if level not in (*there, "species"):
            levels = ", ".join([name for name in LEVELS if name in there] + ["species"])
            raise UserError(f"{file} has no column for the label level {level!r}; it has {levels}")
        # Families are named alike, so that a family is the same class whichever layout it came in.
        label = {"family": ("phylum", "family"), "species": self.species}.get(level, (level,))
        rows = []
        for number, row in lines:
            where = f"{file.name} line {number}"
            if any(row[column] is None for column in self.columns):
                raise UserError(f"{where} has fewer fields than the header line; give it all of {needed}")
            words = [row[column].strip().lower().replace(" ", "_") for column in label]
            class_name = "_".join(words) if all(words) else ""
            page, content = row["eol_page_id"].strip(), _number(row["eol_content_id"])
            values = tuple(sys.intern((row[column] or "").strip()) for column in there)
            rows.append(Row(self.row_key(row), where, row[self.columns[0]].strip(), class_name, page, content, values))
        return tuple(there), rows


def _match(key: str, rows: Sequence[Row], sources: Sequence[str], found: Found) -> None:
    """Give the photo(s) of one key their label, or say why they have none."""
    row, where = rows[0], " and ".join(row.where for row in rows[:3])
    labels = sorted({row.class_name for row in rows})
    if not sources:
        found.exclude(key, "no_file", f"{where}: there is no such photo", row.class_name)
    for source in sources:
        if len(labels) > 1:
            found.exclude(
                source, "two_labels", f"{where}: {' and '.join(label or '(empty)' for label in labels)}", labels[-1]
            )
        elif not row.class_name:
            found.exclude(source, "no_label", f"{where}: the label is empty")
        else:
            species = row.species or None
            found.photos.append(
                PhotoFile(row.photo_id, source, row.class_name, species, row.content_id, values=row.values)
            )


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _name_key(path: str) -> str:
    """`content id_page id` of a photo in the hub, whose name begins so."""
    match = re.match(r"(\d+)_(\d+)(?!\d)", path.rsplit("/", 1)[-1])
    return f"{int(match[1])}_{int(match[2])}" if match else path


STUDY = MetadataLayout(
    name="study metadata",
    file=_FILES[0],
    columns=("rare_species_id", "eol_content_id", "eol_page_id", "phylum", "family", "file_path"),
    # The study knows a species by its page alone; the family in front makes the class readable.
    species=("phylum", "family", "eol_page_id"),
    row_key=lambda row: path_key(row["file_path"]),
    photo_key=path_key,
)
HUB = MetadataLayout(
    name="hub catalogue",
    file=_FILES[1],
    columns=("rarespecies_id", "eol_content_id", "eol_page_id", *LEVELS),
    species=("genus", "species"),
    row_key=lambda row: f"{_number(row['eol_content_id'])}_{_number(row['eol_page_id'])}",
    photo_key=_name_key,
)
