"""What a review finds, in words: the sections of the list, and why each photo stands in it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.data.inspection import Inspection, Problem
from trainables.data.photo_files import PhotoFile
from trainables.network.backbones import Weights
from trainables.review.ranking import Ranking

SECTIONS = ("irrelevant", "undecodable", "tiny", "blank", "near-duplicate")
BLANK_SPREAD = 16
"""Grey levels of 255 between dark and light parts of a blank photo, at most; of 3,972 real ones none is below 31."""

_NEAREST = 10  # similar photos that the reasons speak of


class Finding(NamedTuple):
    """A photo that a person should look at; `family` is the class it lies in.

    `rank` counts from 1 within the section; `score` is None but for the irrelevant; `looks_like` is the family of most
    of the similar photos; `alike` are the most similar photos, or the near-duplicates, each a path below PHOTOS.
    """

    section: str
    rank: int
    source: str
    family: str
    score: float | None
    looks_like: str
    reason: str
    alike: tuple[str, ...] = ()


def is_blank(seen: Inspection) -> bool:
    """Whether a photo is nearly uniform: a lens cap, a white page, an empty sky."""
    low, high = np.percentile(np.frombuffer(seen.descriptor.thumbnail, dtype=np.uint8), (2, 98))
    return bool(high - low <= BLANK_SPREAD)


def is_tiny(seen: Inspection, side: int) -> bool:
    """Whether the shorter side has fewer than `side` pixels."""
    return min(seen.width, seen.height) < side


def irrelevant(photos: Sequence[PhotoFile], ranking: Ranking, top: int) -> Iterator[Finding]:
    """The `top` photos that are the least in place, first the worst."""
    for rank, row in enumerate(ranking.order()[:top].tolist(), start=1):
        photo, similar = photos[row], ranking.neighbours[row][:_NEAREST].tolist()
        families = Counter(photos[other].class_name for other in similar)
        most = families.most_common(1)[0][0] if families else ""
        yield Finding(
            "irrelevant",
            rank,
            photo.source,
            photo.class_name,
            round(float(ranking.score[row]), 3),
            most,
            why(photo.class_name, families),
            tuple(photos[other].source for other in similar[:3]),
        )


def why(family: str, similar: Counter[str]) -> str:
    """Say in a sentence what the families of the most similar photos tell of a photo that lies in `family`."""
    count, own = similar.total(), similar[family]
    if not count:
        return "it is unlike the rest of its family"
    most, share = similar.most_common(1)[0]
    if own > count / 2:
        return f"odd for {family}, though {own} of its {count} most similar photos are {family}"
    its_own = f"{own or 'none'} {'is' if own == 1 else 'are'} {family}"
    if share > count / 2:
        return f"looks like {most}: {share} of its {count} most similar photos are, {its_own}"
    return f"fits no family: its {count} most similar photos come from {len(similar)} families, {its_own}"


def undecodable(photos: Sequence[tuple[PhotoFile, Problem]]) -> Iterator[Finding]:
    """Files that give no picture."""
    for rank, (photo, problem) in enumerate(sorted(photos, key=lambda one: one[0].source), start=1):
        reason = f"{problem.reason}: {problem.detail}"
        yield Finding("undecodable", rank, photo.source, photo.class_name, None, "", reason)


def tiny(photos: Sequence[tuple[PhotoFile, Inspection]]) -> Iterator[Finding]:
    """Photos with few pixels, the smallest first."""
    by_size = sorted(photos, key=lambda one: (min(one[1].width, one[1].height), one[0].source))
    for rank, (photo, seen) in enumerate(by_size, start=1):
        yield Finding(
            "tiny", rank, photo.source, photo.class_name, None, "", f"only {seen.width} × {seen.height} pixels"
        )


def blank(photos: Sequence[PhotoFile]) -> Iterator[Finding]:
    """Photos that are nearly uniform."""
    for rank, photo in enumerate(sorted(photos, key=lambda one: one.source), start=1):
        yield Finding("blank", rank, photo.source, photo.class_name, None, "", "nearly one shade all over")


def near_duplicates(photos: Sequence[PhotoFile], groups: Sequence[str], hashes: Sequence[str]) -> Iterator[Finding]:
    """Photos that show the same picture, copy by copy; those that lie in different families come first.

    The rank is the group's: one number for all copies of a picture.
    """
    members: dict[str, list[int]] = {}
    for row in sorted(range(len(photos)), key=lambda row: photos[row].source):
        members.setdefault(groups[row], []).append(row)
    copies = [rows for rows in members.values() if len(rows) > 1]
    copies.sort(key=lambda rows: (-len({photos[row].class_name for row in rows}), -len(rows), photos[rows[0]].source))
    for rank, rows in enumerate(copies, start=1):
        for row in rows:
            others = [other for other in rows if other != row]
            exact = any(hashes[other] == hashes[row] for other in others)
            families = sorted({photos[other].class_name for other in others} - {photos[row].class_name})
            yield Finding(
                "near-duplicate",
                rank,
                photos[row].source,
                photos[row].class_name,
                None,
                families[0] if families else "",
                _copy_reason(exact, [photos[other].source for other in others], families),
                tuple(photos[other].source for other in others),
            )


def _copy_reason(exact: bool, others: Sequence[str], families: Sequence[str]) -> str:
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    same = "the same file as" if exact and not more else "the same picture as"
    return f"{same} {others[0]}{more}" + (f", which lies in {' and '.join(families)}" if families else "")


class Review(NamedTuple):
    """What was found: `findings` section by section, `looked_at` photos of `families` families.

    `typical` are three photos of each family that are well in place; `left_out` counts, by reason, files and rows that
    `prepare` cannot use whatever the person decides.
    """

    root: Path
    findings: list[Finding]
    looked_at: int
    families: int
    typical: dict[str, list[str]]
    left_out: dict[str, int]
    weights: Weights

    def section(self, name: str) -> list[Finding]:
        """The findings of one section."""
        return [one for one in self.findings if one.section == name]
