"""The layouts in which photos and their labels may lie."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainables.data.formats import FORMATS
from trainables.data.formats.records import Listed
from trainables.data.formats.taxonomy import NAME, read_taxonomy, relabel
from trainables.data.photo_files import Found, Layout, PhotoFile, path_id, photo_files
from trainables.data.rare_species import HUB, LEVELS, STUDY
from trainables.errors import UserError


class ClassFolders:
    """One folder per class, named by its label; photos may lie deeper in it."""

    name = "class folders"
    rule = "photos lie in one folder per class"

    def recognises(self, root: Path) -> bool:
        """Any folder may be one of class folders."""
        return True

    def find(self, root: Path, level: str) -> Found:
        """See Layout."""
        if level != "family":
            raise UserError(
                f"the label level {level!r} needs metadata, and {root} has neither {STUDY.file} nor {HUB.file}; "
                "without them the folders are the labels, and the level is family"
            )
        found = Found(self.name)
        for source in photo_files(root, found):
            folder, _, rest = source.partition("/")
            if rest:
                found.photos.append(PhotoFile(path_id(source), source, unicodedata.normalize("NFC", folder)))
            else:
                found.exclude(source, "no_class_folder", self.rule)
        return found


# The first that recognises a folder is used: the hub's copy has a metadata.csv too, for its web viewer.
LAYOUTS: tuple[Layout, ...] = (HUB, STUDY, *map(Listed, FORMATS), ClassFolders())


def find_photos(
    root: Path, level: str = "family", taxonomy: Path | None = None, also: Sequence[str] = (), boxes: bool = False
) -> Found:
    """Find photos and labels below `root`, by the first of `LAYOUTS` that recognises it.

    Args:
        taxonomy: a CSV file that gives names their ranks (`formats.taxonomy`).
        also, boxes: see `formats.records.Listed`.

    Raises:
        UserError: no folder, no photo, a metadata file without a needed column, or a label level it does not have.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; PHOTOS is a folder of class folders, with or without {STUDY.file}")
    if level not in (*LEVELS, NAME):
        raise UserError(f"no label level is called {level!r}; the levels are {', '.join(LEVELS)}, {NAME}")
    layout = next(layout for layout in LAYOUTS if layout.recognises(root))
    mapped = read_taxonomy(taxonomy) if taxonomy else None
    if isinstance(layout, Listed):
        found = replace(layout, taxonomy=mapped, also=tuple(also), boxes=boxes).find(root, level)
    elif boxes or also:
        raise UserError(f"{root} is of {layout.name}, which have neither boxes nor blank photos; --crop takes a file")
    elif mapped is not None:
        found = layout.find(root, "family")
        relabel(found, mapped, level)
    else:
        found = layout.find(root, level)
    if not found.photos:
        seen = f" ({found.reasons()})" if found.excluded else ""
        raise UserError(f"{root} holds no photos that can be used{seen}; {layout.rule}")
    found.photos.sort()
    return found
