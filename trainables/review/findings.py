"""Findings of a review by section, with a reason per photo."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.data.photo_files import Exclusion, Inspection, PhotoFile
from trainables.network.backbones import Weights
from trainables.review.ranking import Ranking

SECTIONS = ("irrelevant", "undecodable", "tiny", "blank", "near-duplicate")
BLANK_SPREAD = 16  # most grey levels of 255 between its dark and light parts; of 3,972 real photos none is below 31
_NEAREST = 10  # similar photos that a reason counts


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
    """The `top` photos that are least in place, the worst first."""
    for rank, row in enumerate(ranking.order()[:top].tolist(), start=1):
        photo, similar = photos[row], [photos[other] for other in ranking.neighbours[row][:_NEAREST]]
        families = Counter(other.class_name for other in similar)
        most = families.most_common(1)[0][0] if families else ""
        score, reason = round(float(ranking.score[row]), 3), why(photo.class_name, families)
        alike = tuple(other.source for other in similar[:3])
        yield Finding("irrelevant", rank, photo.source, photo.class_name, score, most, reason, alike)


def why(family: str, similar: Counter[str]) -> str:
    """A sentence on a photo that lies in `family`, from the families of its most similar photos."""
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


def undecodable(photos: Sequence[tuple[PhotoFile, Exclusion]]) -> list[Finding]:
    """Files that give no picture."""
    by_name = sorted(photos, key=lambda one: one[0].source)
    return _ranked("undecodable", [(photo, f"{problem.reason}: {problem.detail}") for photo, problem in by_name])


def tiny(photos: Sequence[tuple[PhotoFile, Inspection]]) -> list[Finding]:
    """Photos with few pixels, the smallest first."""
    by_size = sorted(photos, key=lambda one: (min(one[1].width, one[1].height), one[0].source))
    return _ranked("tiny", [(photo, f"only {seen.width} × {seen.height} pixels") for photo, seen in by_size])


def blank(photos: Sequence[PhotoFile]) -> list[Finding]:
    """Photos that are nearly uniform."""
    by_name = sorted(photos, key=lambda one: one.source)
    return _ranked("blank", [(photo, "nearly one shade all over") for photo in by_name])


def _ranked(section: str, reasons: Sequence[tuple[PhotoFile, str]]) -> list[Finding]:
    listed = enumerate(reasons, start=1)
    return [
        Finding(section, rank, photo.source, photo.class_name, None, "", reason) for rank, (photo, reason) in listed
    ]


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
            families = sorted({photos[other].class_name for other in others} - {photos[row].class_name})
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            exact = not more and hashes[others[0]] == hashes[row]
            same = f"the same {'file' if exact else 'picture'} as {photos[others[0]].source}{more}"
            reason = same + (f", which lies in {' and '.join(families)}" if families else "")
            photo, alike = photos[row], tuple(photos[other].source for other in others)
            looks_like = families[0] if families else ""
            yield Finding("near-duplicate", rank, photo.source, photo.class_name, None, looks_like, reason, alike)


class Review(NamedTuple):
    """All findings, section by section, of `looked_at` photos of `families` families.

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
