"""What the maker and the reader of a prepared dataset should know of it, in sentences."""

from collections import Counter
from collections.abc import Mapping, Sequence

from trainables.data.dataset import PHOTOS, SPLITS, Photo
from trainables.data.exclusion_list import LISTED
from trainables.data.photo_files import Found
from trainables.data.splits.split import groups_needed
from trainables.errors import UserError

_FAR = 0.1  # of all photos: so far may a split be from its share without a word
_SOME, _MANY = 5, 10


def missing_families(found: Found, class_names: Sequence[str]) -> dict[str, dict[str, int]]:
    """The families of which no photo is used: how many of their files were left out, by reason."""
    missing: dict[str, Counter[str]] = {}
    for one in found.excluded:
        if one.family and one.family not in class_names:
            missing.setdefault(one.family, Counter())[one.reason] += 1
    return {family: dict(sorted(reasons.items())) for family, reasons in sorted(missing.items())}


def vanished(found: Found, class_names: Sequence[str]) -> list[str]:
    """A sentence on the missing families, but for those that were left out because the user said so."""
    gone = {family: reasons for family, reasons in missing_families(found, class_names).items()
            if not reasons.keys() <= {"small_class", LISTED}}  # fmt: skip
    if not gone:
        return []
    named = [f"{family} ({', '.join(f'{count} {reason}' for reason, count in reasons.items())})"
             for family, reasons in gone.items()]  # fmt: skip
    more = f" and {len(gone) - _MANY} more" if len(gone) > _MANY else ""
    whole = f"{len(gone)} {'family has' if len(gone) == 1 else 'families have'} no photo that can be used"
    return [f"{whole} and {'is' if len(gone) == 1 else 'are'} missing: {', '.join(named[:_MANY])}{more}"]


def doubtful(rows: Sequence[Photo], alike: Sequence[str]) -> dict[str, list[Photo]]:
    """The photos that are `alike` (a name per row) and carry different labels, by that name."""
    members: dict[str, list[Photo]] = {}
    for row, like in zip(rows, alike, strict=True):
        members.setdefault(like, []).append(row)
    return {like: each for like, each in sorted(members.items()) if len({row.family for row in each}) > 1}


def not_kept(rows: Sequence[Photo], train_only: Sequence[str], fractions: Sequence[float]) -> list[str]:
    """Sentences on what the split could not keep: families that are not in all splits, and shares far from those asked.

    Raises:
        UserError: a split that was asked for has no photo.
    """
    families = sorted({row.family for row in rows} - set(train_only))
    there = {(row.split, row.family) for row in rows}
    lines = []
    for split, fraction in zip(SPLITS, fractions, strict=True):
        of_split = sum(row.split == split for row in rows)
        if fraction and not of_split:
            raise UserError(f"no photo is left for {split}: the groups that must not be parted are too large; ask for "
                            "less with --group, or for fewer splits with a TEST of 0")  # fmt: skip
        if fraction and (missing := [family for family in families if (split, family) not in there]):
            lines.append(f"{len(missing)} families have no photo in {split}: {_some(missing)}")
        if abs(of_split / len(rows) - fraction) > _FAR:
            lines.append(f"{split} has {of_split / len(rows):.0%} of the photos where {fraction:.0%} are asked for")
    return lines


def what_to_know(
    rows: Sequence[Photo],
    train_only: Sequence[str],
    mixed: Mapping[str, list[Photo]],
    fractions: Sequence[float],
    given: bool = False,
) -> list[str]:
    """Sentences on what no score will tell; `mixed` are the doubtful photos, `given` says that the splits were."""
    lines = []
    if not fractions[-1]:
        lines.append("no photo is kept for test: every score will be of photos by which something was chosen; "
                     "`python -m trainables evaluate` tests the model on photos of your own")  # fmt: skip
    if train_only:
        why = "as the photos came" if given else f"for want of {groups_needed(fractions)} groups"
        lines.append(f"{len(train_only)} families are in training only, {why}: {_some(train_only)}")
    if mixed:
        pairs = [" and ".join(sorted(row.source for row in each)[:3]) for each in mixed.values()]
        some = "; ".join(sorted(pairs)[:3])
        where = "stay in the splits that they came in" if given else "are in training only"
        told = f"{len(mixed)} groups of like photos carry different labels and {where}, each with its own"
        lines.append(f"{told}: {some} (column group of {PHOTOS}); --two-labels exclude leaves them out")
    totals = Counter(row.family for row in rows)
    for (group, family), size in Counter((row.group, row.family) for row in rows).items():
        if size > 10 and size > totals[family] / 2:
            lines.append(f"{size} of the {totals[family]} photos of {family} are one group ({group}), never parted")
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SOME]) + (f" and {len(names) - _SOME} more" if len(names) > _SOME else "")
