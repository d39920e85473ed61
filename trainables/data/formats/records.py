"""The common table of all formats: a record for each label of a photo, and how records become photos with one label."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from trainables.data.crops import Box
from trainables.data.formats.taxonomy import NAME, Ranks, key, label_of, levels_of, with_binomial
from trainables.data.photo_files import Found, PhotoFile, path_id, photo_files
from trainables.errors import UserError

ANIMAL = "animal"
BLANK = "blank"
OTHER_KINDS = (BLANK, "human", "vehicle", "unknown")
"""What a photo may show besides an animal (or another named thing): in the words of Camtrap DP."""


class Record(NamedTuple):
    """What a list says of one photo, or of one thing in it.

    `source` is the photo's path below the folder of photos; `kind` ANIMAL or one of OTHER_KINDS; `name` as it stands in
    the data, `ranks` what is known of it; `values` are of the table's `columns`; `split` is one of the dataset's;
    `where` finds the line again.
    """

    source: str
    name: str
    kind: str
    ranks: Ranks
    photo_id: str
    values: tuple[str, ...]
    time: datetime | None
    split: str | None
    box: Box | None
    where: str


@dataclass
class Table:
    """All records of a folder of photos; `columns` may be grouped by, `together` are those that never part by default.

    `found` holds the files and lines that have no record, and what the user should know.
    """

    found: Found
    columns: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)


class Format(Protocol):
    """A format that lists photos with their labels in files of its own."""

    @property
    def name(self) -> str:
        """What people and the manifest call it."""

    @property
    def rule(self) -> str:
        """What makes a file a photo that can be used, in a few words."""

    def recognises(self, root: Path) -> bool:
        """Say whether the folder `root` has this format's files."""

    def read(self, root: Path) -> Table:
        """Read all records, of photos that are there.

        Raises:
            UserError: a file of the format is damaged, or is a version that is not read.
        """


@dataclass(frozen=True)
class Listed:
    """A format as a layout (see `photo_files.Layout`).

    `also` are kinds that become classes besides the animals; with `boxes` each box of an animal becomes a photo.
    """

    format: Format
    taxonomy: Mapping[str, Ranks] | None = None
    also: tuple[str, ...] = ()
    boxes: bool = False

    @property
    def name(self) -> str:
        """See Layout."""
        return self.format.name

    @property
    def rule(self) -> str:
        """See Layout."""
        return self.format.rule

    def recognises(self, root: Path) -> bool:
        """See Layout."""
        return self.format.recognises(root)

    def find(self, root: Path, level: str) -> Found:
        """See Layout."""
        return self.photos(self.format.read(root), level)

    def photos(self, table: Table, level: str) -> Found:
        """One photo for each that has one label, and with a reason all others.

        Raises:
            UserError: no name has the level.
        """
        found, named = table.found, _Names(table.records, level, self.taxonomy, table.found.warnings)
        found.columns, found.together = table.columns, table.together
        by_source: dict[str, list[Record]] = {}
        for record in table.records:
            by_source.setdefault(record.source, []).append(record)
        found.splits = {record.source: record.split for record in table.records if record.split}
        for source, records in by_source.items():
            if self.boxes:
                found.photos += self._boxed(source, records, named, found)
            elif (label := self._label(source, records, named, found)) is not None:
                found.photos.append(_photo(records[0], label))
        _unique_ids(found)
        return found

    def _label(self, source: str, records: Sequence[Record], named: "_Names", found: Found) -> str | None:
        """The one label of a photo, or None where it has none; `found` is told why."""
        animals = [record for record in records if record.kind == ANIMAL]
        if not animals:
            kinds = sorted({record.kind for record in records})
            if len(kinds) == 1 and kinds[0] in self.also:
                return kinds[0]
            found.exclude(source, "no_animal", f"{records[0].where}: {' and '.join(kinds)}")
            return None
        labels = {named.label(record): record for record in animals}
        if len(labels) > 1:
            lines = " and ".join(f"{label or '(none)'} ({record.where})" for label, record in sorted(labels.items()))
            found.exclude(source, "two_labels", lines, max(labels))
            return None
        [(label, record)] = labels.items()
        if not label:
            found.exclude(source, "no_label", f"{record.where}: {record.name or '(empty)'} has no {named.level}")
        return label or None

    def _boxed(self, source: str, records: Sequence[Record], named: "_Names", found: Found) -> list[PhotoFile]:
        boxed = [record for record in records if record.box is not None and record.kind == ANIMAL]
        if not boxed:
            labels = [named.label(record) for record in records if record.kind == ANIMAL]
            found.exclude(source, "no_box", f"{records[0].where}: no animal with a box", max(labels, default=""))
        photos = []
        for record in boxed:
            if label := named.label(record):
                photos.append(crop_of(_photo(record, label), record.box))
            else:
                found.exclude(source, "no_label", f"{record.where}: {record.name or '(empty)'} has no {named.level}")
        return photos


def crop_of(photo: PhotoFile, box: Box | None) -> PhotoFile:
    """The photo of one box in a photo."""
    assert box is not None
    return photo._replace(box=box, photo_id=path_id(f"{photo.source}#{box.text()}"))


class _Names:
    """Labels of names at one level."""

    def __init__(
        self, records: Iterable[Record], level: str, taxonomy: Mapping[str, Ranks] | None, warnings: list[str]
    ) -> None:
        self.level = level
        self._ranks: dict[tuple[str, ...], Ranks] = {}  # a plant and a bird may share a name
        unknown: Counter[str] = Counter()
        for record in records:
            if record.kind == ANIMAL:
                ranks = record.ranks
                if taxonomy is not None:
                    mapped = taxonomy.get(key(record.name))
                    unknown[record.name] += mapped is None
                    ranks = {**ranks, **(mapped or {})}
                self._ranks[_key(record)] = with_binomial(ranks)
        levels = levels_of(self._ranks.values())
        if self._ranks and not levels and level == "family":
            # As with class folders, which are the labels whatever they are called.
            warnings.append(f"no name has a rank, so the {len(self._ranks)} names are the labels as they are; "
                            "--taxonomy FILE gives their families")  # fmt: skip
            self.level = NAME
        elif self._ranks and level != NAME and level not in levels:
            raise UserError(
                f"no name has the label level {level!r}; the levels are {', '.join([*levels, NAME])}; --taxonomy FILE "
                "gives names their ranks"
            )
        if unknown := +unknown:
            some = ", ".join(name for name, _ in unknown.most_common(3))
            warnings.append(f"the taxonomy has no row for {len(unknown)} names of {unknown.total()} labels: {some}")
        families = [ranks for ranks in self._ranks.values() if ranks.get("family")]
        self._with_phylum = all(ranks.get("phylum") for ranks in families)

    def label(self, record: Record) -> str:
        """The class name of a record, or ""."""
        return label_of(record.name, self._ranks[_key(record)], self.level, self._with_phylum)


def _key(record: Record) -> tuple[str, ...]:
    return record.name, *record.ranks.values()


def _photo(record: Record, label: str) -> PhotoFile:
    ranks = with_binomial(record.ranks)
    return PhotoFile(
        record.photo_id, record.source, label, key(ranks.get("species", "")) or None,
        values=record.values, time=record.time,
    )  # fmt: skip


def _unique_ids(found: Found) -> None:
    """Give photos whose id is empty or stands for several one that depends on their paths."""
    counts = Counter(photo.photo_id for photo in found.photos)
    if doubtful := {photo_id for photo_id, count in counts.items() if count > 1 or not photo_id}:
        found.photos = [
            photo._replace(photo_id=path_id(photo.source)) if photo.photo_id in doubtful else photo
            for photo in found.photos
        ]
        some = ", ".join(map(repr, sorted(doubtful)[:3]))
        found.warnings.append(f"{len(doubtful)} photo ids are empty or stand for several photos ({some}): not used")


def listed_and_there(root: Path, found: Found, passed_over: Iterable[str]) -> list[str]:
    """All photos below `root`, the format's own files (`passed_over`) left out."""
    return list(photo_files(root, found, tuple(passed_over)))


def report_unlisted(found: Found, there: Iterable[str], records: Iterable[Record], what: str) -> None:
    """Exclude the photos that are there and that no line speaks of; `what` is the list's name."""
    known = {record.source for record in records} | {one.source for one in found.excluded}
    for source in there:
        if source not in known:
            found.exclude(source, "no_row", f"{what} has no line for this file")


def shared(values: Iterable[object]) -> tuple[str, ...]:
    """Values of a record as text; equal ones are one object, as a hundred thousand photos come from few stations."""
    return tuple(sys.intern(str(value)) if value is not None and value != "" else "" for value in values)
