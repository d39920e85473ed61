"""The layouts in which photos and their labels may lie."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trainables.data.class_folders import ClassFolders
from trainables.data.formats import FORMATS
from trainables.data.formats.records import Listed
from trainables.data.formats.taxonomy import NAME, Ranks, read_taxonomy, relabel
from trainables.data.metadata_table import MetadataTable
from trainables.data.photo_files import Found, Layout, label_key
from trainables.data.rare_species import HUB, LEVELS, STUDY
from trainables.errors import UserError

# The first that recognises a folder is used: the hub's copy has a metadata.csv too, for its web viewer; a format's own
# files say more than a table beside them; and the study's copy is known by the name metadata.csv alone.
TABLE = MetadataTable()
LAYOUTS: tuple[Layout, ...] = (HUB, *map(Listed, FORMATS), TABLE, STUDY, ClassFolders())


def find_photos(
    root: Path, level: str = "family", taxonomy: Path | None = None, also: Sequence[str] = (), boxes: bool = False
) -> Found:
    """Find photos and labels below `root`, by the first of `LAYOUTS` that recognises it.

    Args:
        level: a rank, NAME, the number of a folder, or a column of a metadata table.
        taxonomy: a CSV file that gives names their ranks (`formats.taxonomy`).
        also, boxes: see `formats.records.Listed`.

    Raises:
        UserError: no folder, no photo, a metadata file without a needed column, or a label level it does not have.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; PHOTOS is a folder of class folders, with or without {STUDY.file}")
    layout = next(layout for layout in LAYOUTS if layout.recognises(root))
    if not (_is_rank(level) or level.isdecimal() or layout is TABLE):
        levels = ", ".join((*LEVELS, NAME))
        raise UserError(f"no label level is called {level!r}; the levels are {levels}, or the number of a folder")
    mapped = read_taxonomy(taxonomy) if taxonomy else None
    if isinstance(layout, Listed):
        found = replace(layout, taxonomy=mapped, also=tuple(also), boxes=boxes).find(root, level)
    elif boxes or also:
        raise UserError(f"{root} is of {layout.name}, which have neither boxes nor blank photos; --crop takes a file")
    else:
        found = layout.find(root, level) if mapped is None else _relabelled(layout, root, level, mapped)
    if not found.photos:
        seen = f" ({found.reasons()})" if found.excluded else ""
        raise UserError(f"{root} holds no photos that can be used{seen}; {layout.rule}")
    _spell_alike(found)
    found.photos.sort()
    return found


def _is_rank(level: str) -> bool:
    return level in (*LEVELS, NAME)


def _relabelled(layout: Layout, root: Path, level: str, taxonomy: Mapping[str, Ranks]) -> Found:
    """Photos whose names the taxonomy gives a rank: `level`; where that says which folder or column, the family."""
    found = layout.find(root, "family" if _is_rank(level) else level)
    relabel(found, taxonomy, level if _is_rank(level) else "family")
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
