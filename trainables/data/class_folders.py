"""Class folders, also in split folders or deeper in a tree of folders."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from trainables.data.photo_files import Found, PhotoFile, path_id, photo_files
from trainables.errors import UserError

# Names of split folders in datasets of torchvision, TFDS and Hugging Face.
_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLIT_OF = {name: split for split, names in _NAMES.items() for name in names}


class ClassFolders:
    """One folder per class, named by its label; these may lie in folders called train, val and test."""

    name = "class folders"
    rule = "photos lie in one folder per class"

    def recognises(self, root: Path) -> bool:
        """Any folder may be one of class folders."""
        return True

    def find(self, root: Path, level: str) -> Found:
        """See Layout; `level` is the number of the folder that is the label, where folders lie deeper.

        Raises:
            UserError: photos lie deeper than in class folders and `level` is no number of a folder; some folders are
                called as splits are and others are not.
        """
        if level != "family" and not level.isdecimal():
            raise UserError(
                f"the label level {level!r} needs metadata, and {root} has none; without them the folders are the "
                "labels, and the level is the number of the folder below PHOTOS that is the label"
            )
        found = Found(self.name)
        folders = {source: source.split("/")[:-1] for source in photo_files(root, found)}
        splits = split_folders(root, list(folders.values()))
        if splits:
            found.layout = f"class folders in {', '.join(sorted(splits))}"
        number = len(splits[:1]) + _level(root, level, [each[len(splits[:1]) :] for each in folders.values()])
        for source, above in folders.items():
            if len(above) < number:
                found.exclude(
                    source, "no_class_folder", f"the label is folder {number} of its path" if number > 1 else self.rule
                )
                continue
            found.photos.append(PhotoFile(path_id(source), source, _name(above[number - 1])))
            if splits:
                found.splits[source] = SPLIT_OF[above[0].lower()]
        found.excluded = [one._replace(family=_family(one.source, one.reason, number)) for one in found.excluded]
        _warn_of_places(found, number, bool(splits))
        return found


def split_folders(root: Path, folders: Sequence[Sequence[str]]) -> list[str]:
    """Names of the outermost folders where they are those of splits; none where they are not.

    Args:
        folders: of each photo, the names of the folders from `root` down to it.

    Raises:
        UserError: some are splits and others are not, or no class folders are in them.
    """
    names = {each[0] for each in folders if each}
    known = {name for name in names if name.lower() in SPLIT_OF}
    deeper = {each[0] for each in folders if len(each) > 1}
    if len({SPLIT_OF[name.lower()] for name in known}) >= 2 and (known == names or known <= deeper):
        if known != names:
            other = ", ".join(sorted(names - known)[:3])
            raise UserError(
                f"{root}: {', '.join(sorted(known))} are called as splits are, and {other} beside them is not; "
                "move what is no split elsewhere"
            )
        if not deeper:
            raise UserError(f"{root}: {', '.join(sorted(known))} are called as splits are, and hold no class folders")
        return sorted(known)
    return sorted(known) if known == names and known and deeper == known else []


def _level(root: Path, level: str, folders: Sequence[Sequence[str]]) -> int:
    """The number of the folder that is the label, counted from 1 and below split folders.

    Raises:
        UserError: it must be said, or no photo lies so deep.
    """
    deepest = max((len(each) for each in folders), default=1)
    if level == "family" and deepest <= 1:
        return 1
    if level.isdecimal() and 1 <= int(level) <= deepest:
        return int(level)
    choices = []
    for number in range(1, deepest + 1):
        names = sorted({_name(each[number - 1]) for each in folders if len(each) >= number})
        some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        choices.append(f"{number} ({len(names)} {'class' if len(names) == 1 else 'classes'}: {some})")
    said = f"photos lie up to {deepest} folders deep" if level == "family" else f"there is no folder {level}"
    raise UserError(f"{root}: {said}; say which folder is the label: --label-level {' or '.join(choices)}")


def _name(folder: str) -> str:
    return unicodedata.normalize("NFC", folder)


def _family(source: str, reason: str, number: int) -> str:
    """The label that a file would have had; of an empty folder, the label that it is or lies in."""
    parts = source.split("/") if reason == "empty_folder" else source.split("/")[:-1]
    return _name(parts[number - 1]) if len(parts) >= number else ""


def _warn_of_places(found: Found, number: int, in_splits: bool) -> None:
    """Warn where one label is the name of several folders, but for those of several splits."""
    places: dict[str, set[str]] = {}
    for photo in found.photos:
        above = photo.source.split("/")[int(in_splits) : number]
        places.setdefault(photo.class_name, set()).add("/".join(above))
    several = {name: sorted(each) for name, each in places.items() if len(each) > 1}
    if several:
        name, each = min(several.items())
        told = f"{len(several)} labels are the name of several folders, which are one class"
        found.warnings.append(f"{told}: {name} in {', '.join(each[:3])}")
