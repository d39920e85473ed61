"""Splits that photos came in: kept where the user asks, and made disjoint."""

from collections.abc import Mapping, Sequence

from trainables.data.dataset import SPLITS
from trainables.data.photo_files import Found, PhotoFile
from trainables.data.splits.split import Split, split_groups
from trainables.errors import UserError

_Fractions = tuple[float, float, float]


def check_given(splits: Mapping[str, str]) -> None:
    """Refuse photos that did not come in splits, or not in training and another.

    Raises:
        UserError: there is no split, no training, or nothing else.
    """
    there = [split for split in SPLITS if split in splits.values()]
    if there[:1] != ["train"] or len(there) < 2:
        has = f"has {' and '.join(there)} alone" if there else "does not come in splits"
        raise UserError(
            f"--splits given needs folders called train and val, or train and test, with class folders in them, or "
            f"a list that names these splits; PHOTOS {has}"
        )


def in_other_splits(sources: Sequence[str], groups: Sequence[str], splits: Mapping[str, str]) -> dict[int, str]:
    """Photos that must be left out, by row, with a photo of their group that stays.

    Of a group in several splits those stay that are in the last of training, validation and test: what is judged by
    stays as it was given, and training loses what it would have seen of it.
    """
    stays: dict[str, tuple[int, str]] = {}
    for source, group in zip(sources, groups, strict=True):
        rank = SPLITS.index(splits[source])
        stays[group] = max(stays.get(group, (rank, source)), (rank, source))
    return {
        row: stays[group][1]
        for row, (source, group) in enumerate(zip(sources, groups, strict=True))
        if SPLITS.index(splits[source]) < stays[group][0]
    }


def without_leaks(photos: Sequence[PhotoFile], groups: Sequence[str], alike: Sequence[str], found: Found) -> list[int]:
    """The rows that make the given splits disjoint and their classes learnable; `found` gets the others and a warning.

    Args:
        groups, alike: see `groups.Grouping`.

    Raises:
        UserError: no row is left.
    """
    out: dict[int, tuple[str, str]] = {}
    for row, photo in enumerate(photos):
        if photo.source not in found.splits:
            out[row] = "no_split", "the data name no split for it"
    there = [row for row in range(len(photos)) if row not in out]
    if out:
        found.warnings.append(f"{len(out)} photos come without a split and are left out")
    leaks = in_other_splits([photos[row].source for row in there], [groups[row] for row in there], found.splits)
    likes = {(photo.source, like) for photo, like in zip(photos, alike, strict=True)}  # A photo may have several crops.
    for row, other in ((there[place], other) for place, other in leaks.items()):
        how = "it shows what {} shows" if (other, alike[row]) in likes else "it is of one group (--group) with {}"
        out[row] = "in_two_splits", f"{how.replace('{}', other)}, which is in {found.splits[other]}"
    if leaks:
        named = ", ".join(sorted(photos[there[place]].source for place in leaks)[:3])
        found.warnings.append(f"{len(leaks)} photos of the given splits are in a later split too and left out: {named}")
    taught = {photo.class_name for row, photo in enumerate(photos)
              if row not in out and found.splits[photo.source] == "train"}  # fmt: skip
    for row, photo in enumerate(photos):
        if row not in out and photo.class_name not in taught:
            out[row] = "no_training", "its class has no training photo"
    for row, (reason, detail) in out.items():
        found.exclude(photos[row].source, reason, detail, photos[row].class_name)
    if len(out) == len(photos):
        raise UserError(f"--splits given leaves no photo that can be used: {found.reasons()}")
    return [row for row in range(len(photos)) if row not in out]


def given_split(
    sources: Sequence[str], groups: Sequence[str], classes: Sequence[str], alike: Sequence[str],
    splits: Mapping[str, str], fractions: _Fractions, seed: int,
) -> Split:  # fmt: skip
    """The split that the photos came in, each group in one; validation is drawn from training where there is none.

    Then `fractions` say how large it is beside training. Classes without photos in every split that there is count as
    in training only where they have none outside of it.

    Raises:
        UserError: no photo is left for validation.
    """
    of_group = {group: splits[source] for source, group in zip(sources, groups, strict=True)}
    notes: tuple[str, ...] = ()
    if "validation" not in of_group.values():
        rows = [row for row, group in enumerate(groups) if of_group[group] == "train"]
        whole = fractions[0] + fractions[1]
        shares = (fractions[0] / whole, fractions[1] / whole, 0.0)
        of_rows = [[each[row] for row in rows] for each in (groups, classes, alike)]
        drawn = split_groups(of_rows[0], of_rows[1], shares, seed, of_rows[2])
        of_group |= drawn.of_group
        notes = drawn.notes
    if "validation" not in of_group.values():
        raise UserError("--splits given leaves no photo for validation: none came in it, and no class has two groups "
                        "in training to draw it from; leave --splits out, or ask for less with --group")  # fmt: skip
    judged = {name for group, name in zip(groups, classes, strict=True) if of_group[group] != "train"}
    return Split(of_group, sorted(set(classes) - judged), notes)
