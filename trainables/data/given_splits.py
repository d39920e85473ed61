"""Splits that photos came in: kept where the user asks, and made disjoint."""

from collections.abc import Mapping, Sequence

from trainables.data.dataset import SPLITS
from trainables.data.split import Split, split_groups
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
            f"--splits given needs folders called train and val, or train and test, with class folders in them; "
            f"PHOTOS {has}"
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


def given_split(
    sources: Sequence[str], groups: Sequence[str], classes: Sequence[str], splits: Mapping[str, str],
    fractions: _Fractions, seed: int,
) -> Split:  # fmt: skip
    """The split that the photos came in, each group in one; validation is drawn from training where there is none.

    Then `fractions` say how large it is beside training. Classes without photos in every split that there is count as
    in training only where they have none outside of it.
    """
    of_group = {group: splits[source] for source, group in zip(sources, groups, strict=True)}
    if "validation" not in of_group.values():
        rows = [row for row, group in enumerate(groups) if of_group[group] == "train"]
        whole = fractions[0] + fractions[1]
        shares = (fractions[0] / whole, fractions[1] / whole, 0.0)
        drawn = split_groups([groups[row] for row in rows], [classes[row] for row in rows], shares, seed)
        of_group |= drawn.of_group
    judged = {name for group, name in zip(groups, classes, strict=True) if of_group[group] != "train"}
    return Split(of_group, sorted(set(classes) - judged))
