"""The layouts in which photos and their labels may lie."""

from collections import Counter
from pathlib import Path

from trainables.data.class_folders import ClassFolders
from trainables.data.metadata_table import MetadataTable
from trainables.data.photo_files import Found, Layout, label_key
from trainables.data.rare_species import HUB, LEVELS, STUDY
from trainables.errors import UserError

# The first that recognises a folder is used: the hub's copy has a metadata.csv too, for its web viewer.
TABLE = MetadataTable()
LAYOUTS: tuple[Layout, ...] = (HUB, TABLE, STUDY, ClassFolders())


def find_photos(root: Path, level: str = "family") -> Found:
    """Find photos and labels below `root`, by the first of `LAYOUTS` that recognises it.

    Raises:
        UserError: no folder, no photo, a metadata file without a needed column, or a label level it does not have.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; PHOTOS is a folder of class folders, with or without {STUDY.file}")
    layout = next(layout for layout in LAYOUTS if layout.recognises(root))
    if level not in LEVELS and not level.isdecimal() and layout is not TABLE:
        raise UserError(
            f"no label level is called {level!r}; the levels are {', '.join(LEVELS)}, or the number of a folder"
        )
    found = layout.find(root, level)
    if not found.photos:
        seen = f" ({found.reasons()})" if found.excluded else ""
        raise UserError(f"{root} holds no photos that can be used{seen}; {layout.rule}")
    _spell_alike(found)
    found.photos.sort()
    return found


def _spell_alike(found: Found) -> None:
    """Give labels that differ in case or blanks alone the commonest spelling, and say so."""
    spellings: dict[str, Counter[str]] = {}
    for name, count in Counter(photo.class_name for photo in found.photos).items():
        spellings.setdefault(label_key(name), Counter())[name] += count
    chosen = {key: max(sorted(each), key=each.__getitem__).strip() for key, each in spellings.items()}
    found.photos = [photo._replace(class_name=chosen[label_key(photo.class_name)]) for photo in found.photos]
    found.excluded = [
        one._replace(family=chosen.get(label_key(one.family), one.family.strip())) for one in found.excluded
    ]
    for key, each in sorted(spellings.items()):
        if len(each) > 1:
            names = ", ".join(repr(name) for name in sorted(each))
            found.warnings.append(f"{names} are one class, {chosen[key]}: they differ in case or blanks alone")
