"""Photo files below a folder, and the reasons for files left out."""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from trainables.data.images import PHOTO_SUFFIXES


class PhotoFile(NamedTuple):
    """A photo with its label, before its bytes are decoded.

    `source` is the path below the folder of photos, with "/"; `species` and `content_id` are None without metadata.
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


class Layout(Protocol):
    """One way in which photos and their labels lie in a folder."""

    @property
    def name(self) -> str:
        """What people and the manifest call it."""

    @property
    def rule(self) -> str:
        """What makes a file a photo that can be used, in a few words."""

    def recognises(self, root: Path) -> bool:
        """Say whether the folder `root` has this layout."""

    def find(self, root: Path, level: str) -> Found:
        """Return all photos below `root`, labelled by `level`, and with a reason each file that is none.

        Raises:
            UserError: the layout does not have the level, or its metadata are damaged.
        """


def path_key(path: str) -> str:
    """A path as it is compared: file systems may spell an accented name in another Unicode form than lists do."""
    return unicodedata.normalize("NFC", path.strip().replace("\\", "/").removeprefix("./"))


def path_id(source: str) -> str:
    """Return a photo id that depends on the path below the folder of photos alone."""
    return hashlib.sha256(unicodedata.normalize("NFC", source).encode()).hexdigest()[:20]


def photo_files(root: Path, found: Found, passed_over: tuple[str, ...] = ()) -> Iterator[str]:
    """Relative paths of all files that look like photos; all others but `passed_over` go to `found.excluded`.

    Hidden folders (".git", ".cache" …) are not entered.
    """
    for path in _walk(root, found):
        source = path.relative_to(root).as_posix()
        if source in passed_over:
            continue
        if _shown(source) != source:
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


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")
