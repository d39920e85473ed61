"""The layouts in which photos and their labels may lie."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from trainables.data.photo_files import Found, Layout, PhotoFile, path_id, photo_files
from trainables.data.rare_species import HUB, LEVELS, STUDY
from trainables.errors import UserError
from trainables.taxonomy import Taxonomy


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
LAYOUTS: tuple[Layout, ...] = (HUB, STUDY, ClassFolders())


def taxonomy(root: Path, layout: str, level: str, labels: Sequence[str]) -> Taxonomy | None:
    """The ranks above the class names `labels`, where the layout of that name has metadata with ranks."""
    known = {HUB.name: HUB, STUDY.name: STUDY}
    return known[layout].taxonomy(root, level, labels) if layout in known else None


def find_photos(root: Path, level: str = "family") -> Found:
    """Find photos and labels below `root`, by the first of `LAYOUTS` that recognises it.

    Raises:
        UserError: no folder, no photo, a metadata file without a needed column, or a label level it does not have.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; PHOTOS is a folder of class folders, with or without {STUDY.file}")
    if level not in LEVELS:
        raise UserError(f"no label level is called {level!r}; the levels are {', '.join(LEVELS)}")
    layout = next(layout for layout in LAYOUTS if layout.recognises(root))
    found = layout.find(root, level)
    if not found.photos:
        seen = f" ({found.reasons()})" if found.excluded else ""
        raise UserError(f"{root} holds no photos that can be used{seen}; {layout.rule}")
    found.photos.sort()
    return found
