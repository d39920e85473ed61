"""Lists of photos to leave out, written by people or by `review`."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainables.data.dataset import ExclusionList
from trainables.data.photo_files import Found, path_key
from trainables.errors import UserError
from trainables.files.output import Row, named_errors, parse_table, read_text, restored

LISTED = "listed"
"""The reason under which photos of the exclusion list stand in excluded.csv."""

_YES = frozenset({"yes", "y", "x", "1", "true"})
_NO = frozenset({"", "no", "n", "0", "false"})


def apply_exclusion_list(found: Found, file: Path | None) -> ExclusionList | None:
    """Take the listed photos out of `found`; entries that name no photo become a warning, never silence.

    Raises:
        UserError: the file is missing or cannot be understood, or none of its entries names a photo.
    """
    if file is None:
        return None
    entries = read_exclusion_list(file)
    unused = set(entries) - {path_key(one.source) for one in found.excluded}
    kept = []
    for photo in found.photos:
        key = path_key(photo.source)
        if key in entries:
            found.exclude(photo.source, LISTED, entries[key] or file.name, photo.class_name)
            unused.discard(key)
        else:
            kept.append(photo)
    matched = len(found.photos) - len(kept)
    found.photos = kept
    if entries and len(unused) == len(entries):
        raise UserError(
            f"none of the {len(entries)} entries of {file} names a photo, the first is {min(entries)!r}; "
            "--exclude takes paths below PHOTOS"
        )
    if not entries:
        found.warnings.append(f"{file.name} leaves out nothing: it has no entry, or none that says yes")
    if unused:
        some = ", ".join(sorted(unused)[:3]) + (" …" if len(unused) > 3 else "")
        found.warnings.append(f"{len(unused)} of the {len(entries)} entries of {file.name} name no photo: {some}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return ExclusionList(file=str(file.absolute()), sha256=digest, entries=len(entries), matched=matched)


def read_exclusion_list(file: Path) -> dict[str, str]:
    """{path below the folder of photos: why}; the reason may be empty.

    Two forms. Text: one path a line; `#` at a line's start or after a space begins a comment. CSV with a column
    `source`, separated by commas, semicolons or tabs: each row counts, or, where there is a column `exclude`, each
    that says yes (yes, y, x, 1, true) there; a column `reason` is kept.

    Raises:
        UserError: the file is missing, is no text, or its column `exclude` says something else than yes or no.
    """
    with named_errors(file, "--exclude takes UTF-8 text: one path a line, or a CSV with a column source"):
        text = read_text(file)
        for separator in ",;\t":
            columns, rows = parse_table(text, separator)
            if "source" in columns:
                return {
                    path_key(restored(row["source"])): restored(row.get("reason") or "") for row in _chosen(file, rows)
                }
    paths = ("" if line.lstrip().startswith("#") else line.split(" #")[0].strip() for line in text.splitlines())
    return {path_key(path): "" for path in paths if path}


def _chosen(file: Path, rows: Iterable[tuple[int, Row]]) -> Iterator[Row]:
    """The rows that leave out a photo."""
    for line, row in rows:
        said = (row["exclude"] or "").strip().lower() if "exclude" in row else "yes"
        if said not in _YES | _NO:
            raise UserError(
                f"{file.name} line {line}: the column exclude says {said!r}; it takes {', '.join(sorted(_YES))}, or "
                "nothing for a photo that stays"
            )
        if row["source"] and said in _YES:
            yield row
