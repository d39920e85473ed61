"""A split by time: what is judged was taken after what was learnt."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from trainables.data.dataset import SPLITS
from trainables.data.formats.times import instant
from trainables.data.photo_files import PhotoFile
from trainables.data.splits.split import Split, groups_needed
from trainables.errors import UserError

_SOME = 3


def split_by_time(photos: Sequence[PhotoFile], groups: Sequence[str], fractions: tuple[float, float, float]) -> Split:
    """The earliest photos for training, the next for validation, the latest for test; groups are not parted.

    A group stands where its last photo would: what is judged is then later than all that was learnt, but for the
    groups that the notes count. A class that is only seen later is in training all the same: what was never learnt
    cannot be judged.

    Raises:
        UserError: no photo has a time, or all have one.
    """
    spans, untimed = _spans(photos, groups)
    if len({span.last for span in spans.values()}) < 2:
        raise UserError("--split-by-time needs photos with different times, from a list (Camtrap DP, COCO Camera "
                        "Traps, Darwin Core, a Parquet column) or their EXIF data; these have none")  # fmt: skip
    of_group = dict.fromkeys(untimed, SPLITS[0])
    sizes = Counter(groups)
    passed = sum(sizes[group] for group in untimed)
    ends = [sum(fractions[: place + 1]) * len(photos) for place in range(groups_needed(fractions) - 1)]
    notes = []
    for group, span in sorted(spans.items(), key=lambda each: (each[1].last, each[0])):
        middle = passed + sizes[group] / 2
        split = SPLITS[sum(middle > end + 1e-6 for end in ends)]
        if split != SPLITS[0] and split not in of_group.values():
            notes.append(f"{split} begins with {datetime.fromtimestamp(span.last, UTC):%Y-%m-%d}")
        of_group[group] = split
        passed += sizes[group]
    learnt = max((span.last for group, span in spans.items() if of_group[group] == SPLITS[0]), default=0)
    across = sum(of_group[group] != SPLITS[0] and span.first < learnt for group, span in spans.items())
    if across:
        notes.append(f"{across} groups of validation and test begin before the last training photo: none is parted")
    if untimed:
        notes.append(f"{len(untimed)} groups have photos without a time, and are in training")
    return _trained(photos, groups, of_group, notes)


class _Span(NamedTuple):
    """The first and the last photo of a group, in seconds since 1970."""

    first: float
    last: float


def _spans(photos: Sequence[PhotoFile], groups: Sequence[str]) -> tuple[dict[str, _Span], set[str]]:
    """The span of each group, and the groups that have a photo without a time, which have none."""
    untimed = {group for photo, group in zip(photos, groups, strict=True) if photo.time is None}
    spans: dict[str, _Span] = {}
    for photo, group in zip(photos, groups, strict=True):
        if photo.time is not None and group not in untimed:
            moment = instant(photo.time)
            known = spans.get(group, _Span(moment, moment))
            spans[group] = _Span(min(known.first, moment), max(known.last, moment))
    return spans, untimed


def _trained(photos: Sequence[PhotoFile], groups: Sequence[str], of_group: dict[str, str], notes: list[str]) -> Split:
    """The split, with every class in training: those that would not be are moved there."""
    learnt = {photo.class_name for photo, group in zip(photos, groups, strict=True) if of_group[group] == SPLITS[0]}
    late = sorted({photo.class_name for photo in photos} - learnt)
    if late:
        for photo, group in zip(photos, groups, strict=True):
            if photo.class_name in late:
                of_group[group] = SPLITS[0]
        notes.append(f"{len(late)} families are only seen later, and are in training: {', '.join(late[:_SOME])}")
    judged = {photo.class_name for photo, group in zip(photos, groups, strict=True) if of_group[group] != SPLITS[0]}
    return Split(of_group, sorted({photo.class_name for photo in photos} - judged), tuple(notes))
