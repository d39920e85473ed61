"""Find the photos and their labels: plain class folders, the study's metadata.csv, or the hub's species catalogue."""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from trainables.data.images import PHOTO_SUFFIXES
from trainables.data.rare_species import HUB_FILE, LEVELS, STUDY_FILE, Row, is_hub, metadata_file, photo_key, read_rows
from trainables.errors import UserError


class PhotoFile(NamedTuple):
    """A photo with its label, before its bytes were looked at.

    `source` is the path below the folder of photos, with "/"; `species` and `content_id` are None where no metadata
    tell them.
    """

    photo_id: str
    source: str
    class_name: str
    species: str | None = None
    content_id: int | None = None


class Exclusion(NamedTuple):
    """A file or metadata row that is not used, and why.

    `reason` is one of: no_class_folder, not_a_photo, bad_name, no_row, no_file, no_label, two_labels, listed (in the
    exclusion list), empty, truncated, unreadable, too_large, small_class.
    """

    source: str
    reason: str
    detail: str


@dataclass
class Found:
    """What lies in a folder of photos: what can be used, what cannot, and what the user should know."""

    layout: str
    photos: list[PhotoFile] = field(default_factory=list)
    excluded: list[Exclusion] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def exclude(self, source: str, reason: str, detail: str) -> None:
        """Note that something is not used."""
        self.excluded.append(Exclusion(source, reason, detail))

    def reasons(self) -> str:
        """What was excluded, counted, for a message."""
        counts = Counter(one.reason for one in self.excluded)
        return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))


def find_photos(root: Path, level: str = "family") -> Found:
    """Find photos and labels below `root`; the layout is told from the metadata file that is there.

    Hidden folders (".git", ".cache" …) are not entered.

    Raises:
        UserError: no folder, no photo, a metadata file without a needed column, or a label level it does not have.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; PHOTOS is a folder of class folders, with or without {STUDY_FILE}")
    if level not in LEVELS:
        raise UserError(f"no label level is called {level!r}; the levels are {', '.join(LEVELS)}")
    file = metadata_file(root)
    found = _with_metadata(root, file, level) if file else _class_folders(root, level)
    if not found.photos:
        seen = f" ({found.reasons()})" if found.excluded else ""
        rule = f"{file.name} has a row with a label for each" if file else "photos lie in one folder per class"
        raise UserError(f"{root} holds no photos that can be used{seen}; {rule}")
    found.photos.sort()
    return found


def _class_folders(root: Path, level: str) -> Found:
    if level != "family":
        raise UserError(
            f"the label level {level!r} needs metadata, and {root} has neither {STUDY_FILE} nor {HUB_FILE}; "
            "without them the folders are the labels, and the level is family"
        )
    found = Found("class folders")
    for source in _photo_files(root, found):
        folder, _, rest = source.partition("/")
        if rest:
            found.photos.append(PhotoFile(_id_from_path(source), source, unicodedata.normalize("NFC", folder)))
        else:
            found.exclude(source, "no_class_folder", "photos lie in one folder per class")
    return found


def _with_metadata(root: Path, file: Path, level: str) -> Found:
    found = Found("hub catalogue" if is_hub(file) else "study metadata")
    rows: dict[str, list[Row]] = {}
    for row in read_rows(file, level):
        rows.setdefault(row.key, []).append(row)
    sources: dict[str, list[str]] = {}
    for source in _photo_files(root, found):
        sources.setdefault(photo_key(file, source), []).append(source)
    for key, of_key in rows.items():
        _match(key, of_key, sources.pop(key, []), found)
    for left in sources.values():
        for source in left:
            found.exclude(source, "no_row", f"{file.name} has no row for this file")
    repeated = [of_key[0].where for of_key in rows.values() if len(of_key) > 1]
    if repeated:
        found.warnings.append(f"{len(repeated)} photos have several rows, the first at {repeated[0]}")
    _make_ids_unique(found)
    return found


def _match(key: str, rows: Sequence[Row], sources: Sequence[str], found: Found) -> None:
    """Give the photo(s) of one key their label, or say why they have none."""
    row, where = rows[0], " and ".join(row.where for row in rows[:3])
    labels = sorted({row.class_name for row in rows})
    if not sources:
        found.exclude(key, "no_file", f"{where}: there is no such photo")
    for source in sources:
        if len(labels) > 1:
            found.exclude(source, "two_labels", f"{where}: {' and '.join(label or '(empty)' for label in labels)}")
        elif not row.class_name:
            found.exclude(source, "no_label", f"{where}: the label is empty")
        else:
            found.photos.append(PhotoFile(row.photo_id, source, row.class_name, row.species or None, row.content_id))


def _make_ids_unique(found: Found) -> None:
    """Photos whose id is empty or stands for another photo too get one from their path."""
    counts = Counter(photo.photo_id for photo in found.photos)
    doubtful = sorted(photo_id for photo_id, count in counts.items() if count > 1 or not photo_id)
    if not doubtful:
        return
    for position, photo in enumerate(found.photos):
        if counts[photo.photo_id] > 1 or not photo.photo_id:
            found.photos[position] = photo._replace(photo_id=_id_from_path(photo.source))
    some = ", ".join(map(repr, doubtful[:3]))
    found.warnings.append(f"{len(doubtful)} photo ids are empty or stand for several photos ({some}): not used as ids")


def _id_from_path(source: str) -> str:
    return hashlib.sha256(unicodedata.normalize("NFC", source).encode()).hexdigest()[:20]


def _photo_files(root: Path, found: Found) -> Iterator[str]:
    """Relative paths of all files that look like photos; all other files go to `found.excluded`."""
    for path in _walk(root, found):
        source = path.relative_to(root).as_posix()
        if source in (STUDY_FILE, HUB_FILE):
            continue
        if not _is_utf8(source):
            found.exclude(_shown(source), "bad_name", "the name is not UTF-8; rename the file")
        elif path.suffix.lower() not in PHOTO_SUFFIXES or path.name.startswith("."):
            found.exclude(source, "not_a_photo", "by its name")
        elif not path.is_file():
            found.exclude(source, "not_a_photo", "a broken link or a special file")
        else:
            yield source


def _walk(root: Path, found: Found) -> Iterator[Path]:
    """All files below `root`, links followed, each folder once: a link to a parent must not go on for ever."""
    seen: set[tuple[int, int]] = set()

    def refused(error: OSError) -> None:
        # os.walk would pass over a folder that it may not list, and its photos would be missing without a word.
        found.exclude(_shown(os.path.relpath(error.filename, root)), "unreadable", error.strerror or "cannot be listed")

    for folder, folders, files in os.walk(root, followlinks=True, onerror=refused):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            found.exclude(_shown(os.path.relpath(folder, root)), "not_a_photo", "a link to a folder already read")
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")
