"""The exclusion list: photos that a person has decided to leave out."""

import csv
import hashlib
import io
from pathlib import Path

from trainables.data.dataset import ExclusionList
from trainables.data.layouts import Found
from trainables.data.rare_species import path_key
from trainables.errors import UserError

LISTED = "listed"
"""The reason under which photos of the exclusion list stand in excluded.csv."""

_YES = frozenset({"yes", "y", "x", "1", "true"})


def apply_exclusion_list(found: Found, file: Path | None) -> ExclusionList | None:
    """Take the listed photos out of `found`; entries that name no photo become a warning, never silence.

    Raises:
        UserError: the file is missing or is no text.
    """
    if file is None:
        return None
    entries = read_exclusion_list(file)
    unused = set(entries) - {path_key(one.source) for one in found.excluded}
    kept = []
    for photo in found.photos:
        key = path_key(photo.source)
        if key in entries:
            found.exclude(photo.source, LISTED, entries[key] or file.name)
            unused.discard(key)
        else:
            kept.append(photo)
    matched = len(found.photos) - len(kept)
    found.photos = kept
    if unused:
        some = ", ".join(sorted(unused)[:3]) + (" …" if len(unused) > 3 else "")
        found.warnings.append(f"{len(unused)} of the {len(entries)} entries of {file.name} name no photo: {some}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return ExclusionList(file=str(file.absolute()), sha256=digest, entries=len(entries), matched=matched)


def read_exclusion_list(file: Path) -> dict[str, str]:
    """{path below the folder of photos: why}; the reason may be empty.

    Two forms. Text: one path a line; `#` at a line's start or after a space begins a comment. CSV with a column
    `source`: each row counts, or, where there is a column `exclude`, each that says yes (yes, y, x, 1, true) there;
    a column `reason` is kept.

    Raises:
        UserError: the file is missing or is no text.
    """
    try:
        return _entries(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{file} does not exist; --exclude takes a text file with one path a line, or a CSV") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text; --exclude takes one path a line, or a CSV") from None
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV file: {error}") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None


def _entries(text: str) -> dict[str, str]:
    rows = csv.DictReader(io.StringIO(text, newline=""))  # A quoted path may hold a line's end.
    if "source" not in (rows.fieldnames or []):
        return {path_key(path): "" for path in map(_without_comment, text.splitlines()) if path}
    return {path_key(row["source"]): row.get("reason") or "" for row in rows if row["source"] and _marked(row)}


def _marked(row: dict[str, str]) -> bool:
    return (row.get("exclude") or "").strip().lower() in _YES if "exclude" in row else True


def _without_comment(line: str) -> str:
    return "" if line.lstrip().startswith("#") else line.split(" #")[0].strip()
