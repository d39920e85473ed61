"""Darwin Core Archives, as GBIF and iNaturalist give them (https://dwc.tdwg.org/text/).

meta.xml says what each column is. It is read here, row by row: python-dwca-reader 0.17.1 gives wrong columns for valid
archives (a default over a whole column, names shifted where columns are unmapped, the first of several files alone).
"""

import csv
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainables.data.class_folders import SPLIT_OF
from trainables.data.formats.local_files import LocalFiles, address_names, is_address
from trainables.data.formats.records import ANIMAL, Record, Table, listed_and_there, report_unlisted, shared
from trainables.data.formats.taxonomy import RANKS, Ranks
from trainables.data.formats.times import parse_time
from trainables.data.photo_files import Found, path_key
from trainables.errors import UserError

META = "meta.xml"
_TEXT = "{http://rs.tdwg.org/dwc/text/}"
_MEDIA = frozenset({"multimedia", "image"})
_ALIASES = {
    "observation": ("",),
    "station": ("locationID", "locality"),
    "sequence": ("eventID", "parentEventID"),
    "photographer": ("creator", "recordedBy"),
    "specimen": ("materialEntityID", "organismID", "catalogNumber"),
    "day": ("eventDate",),
}
_GROUPED = ("eventDate", "locality", "locationID", "recordedBy", "eventID", "parentEventID", "catalogNumber",
            "institutionCode", "collectionCode", "datasetKey", "creator", "rightsHolder", "countryCode",
            "basisOfRecord", "organismID", "materialEntityID")  # fmt: skip
_OF_MEDIA = frozenset({"identifier", "accessURI", "type", "format", "title", "created", "split", *_GROUPED})
_OF_OCCURRENCES = frozenset({"scientificName", "specificEpithet", "taxonRank", "occurrenceStatus", "associatedMedia",
                             "split", *RANKS, *_GROUPED})  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """One table of an archive, of one or several files: `terms` are column and default by the term's last word."""

    kind: str
    files: tuple[Path, ...]
    encoding: str
    delimiter: str
    line_end: str
    quote: str
    header_lines: int
    key_column: int | None
    terms: dict[str, tuple[int | None, str]]

    def rows(self, wanted: Collection[str]) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Where each row is, its key ("" without one), and its values by `wanted` term; where empty, the default."""
        terms = {term: place for term, place in self.terms.items() if term in wanted}
        for file in self.files:
            for number, cells in self._lines(file):
                if not any(cells):
                    continue
                values = {}
                for term, (column, default) in terms.items():
                    text = cells[column].strip() if column is not None and column < len(cells) else ""
                    values[term] = text or default
                key = cells[self.key_column].strip() if self.key_column is not None else ""
                yield f"{file.name} line {number}", key, values

    def _lines(self, file: Path) -> Iterator[tuple[int, list[str]]]:
        try:
            ends = self.line_end if self.line_end in ("\n", "\r", "\r\n") else ""
            with file.open(encoding=self.encoding, newline=ends) as text:
                first = (line.removeprefix("\ufeff") if at == 0 else line for at, line in enumerate(text))
                if self.quote:
                    reader = csv.reader(first, delimiter=self.delimiter, quotechar=self.quote)
                    rows = ((reader.line_num, cells) for cells in reader)
                else:  # A quotation mark is then a letter as any other.
                    rows = ((at, line.rstrip("\r\n").split(self.delimiter)) for at, line in enumerate(first, 1))
                for at, (number, cells) in enumerate(rows):
                    if at >= self.header_lines:
                        yield number, cells
        except FileNotFoundError:
            raise UserError(f"{file} does not exist, and {META} names it") from None
        except (UnicodeDecodeError, LookupError) as error:
            raise UserError(f"{file} is not {self.encoding}, as {META} says: {error}") from None
        except csv.Error as error:
            raise UserError(f"{file} is not as {META} says: {error}") from None


class DarwinCoreArchive:
    """See formats.records.Format; an unpacked archive with its photos below the same folder."""

    name = "Darwin Core Archive"
    rule = "the archive's multimedia table has a row for each"

    def recognises(self, root: Path) -> bool:
        """The folder has the archive's meta.xml."""
        return (root / META).is_file() and _TEXT.strip("{}").encode() in (root / META).read_bytes()

    def read(self, root: Path) -> Table:
        """See Format."""
        core, extensions = _parts(root)
        table = Table(Found(self.name), together=("observation",))
        listed = {file.relative_to(root).as_posix() for part in (core, *extensions) for file in part.files}
        there = listed_and_there(root, table.found, (META, "eml.xml", "metadata.xml", *listed))
        media = [part for part in extensions if part.kind in _MEDIA]
        if core.kind != "occurrence" or not (media or "associatedMedia" in core.terms):
            has = ", ".join(part.kind for part in (core, *extensions))
            raise UserError(f"{root / META} has the tables {has}; needed are occurrences (the core) and multimedia")
        terms = {term for part in (core, *media) for term in part.terms}
        own = tuple(term for term in _GROUPED if term in terms)
        aliases = (
            alias for alias, names in _ALIASES.items() if alias not in own and (names == ("",) or terms & {*names})
        )
        table.columns = (*own, *aliases)
        _Reader(core, media, LocalFiles(there), table).read()
        report_unlisted(table.found, there, table.records, "the archive")
        return table


def _parts(root: Path) -> tuple[_Part, list[_Part]]:
    try:
        tree = ElementTree.parse(root / META).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(f"{root / META} cannot be read: {error}") from None
    core = tree.find(f"{_TEXT}core")
    if core is None:
        raise UserError(f"{root / META} names no core table: it is no Darwin Core Archive")
    return _part(root, core), [_part(root, each) for each in tree.findall(f"{_TEXT}extension")]


def _part(root: Path, element: ElementTree.Element) -> _Part:
    files = tuple(root / (each.text or "").strip() for each in element.iter(f"{_TEXT}location"))
    key = next((each for name in ("id", "coreid") if (each := element.find(f"{_TEXT}{name}")) is not None), None)
    terms: dict[str, tuple[int | None, str]] = {}
    for each in element.findall(f"{_TEXT}field"):
        index = each.get("index")
        terms[_word(each.get("term", ""))] = (int(index) if index else None, each.get("default", ""))
    delimiter = _letters(element.get("fieldsTerminatedBy", ","))
    quote = _letters(element.get("fieldsEnclosedBy", '"'))
    if len(delimiter) != 1 or len(quote) > 1:
        raise UserError(
            f"{root / META}: fields are parted by {delimiter!r} and quoted by {quote!r}; one letter is read"
        )
    return _Part(
        _word(element.get("rowType", "")).lower(), files, element.get("encoding", "UTF-8"), delimiter,
        _letters(element.get("linesTerminatedBy", "\\n")), quote, int(element.get("ignoreHeaderLines") or 0),
        int(key.get("index", "0")) if key is not None else None, terms,
    )  # fmt: skip


def _word(term: str) -> str:
    return term.rstrip("/").replace("#", "/").rsplit("/", 1)[-1]


def _letters(text: str) -> str:
    return text.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r")


class _Occurrence(NamedTuple):
    name: str
    ranks: Ranks
    values: dict[str, str]
    absent: bool


class _Reader:
    """Records of an archive's photos."""

    def __init__(self, core: _Part, media: list[_Part], local: LocalFiles, table: Table) -> None:
        self.core, self.media, self.local, self.table = core, media, local, table
        self.occurrences: dict[str, _Occurrence] = {}
        self.names: Counter[str] = Counter()
        self.photos_of: Counter[str] = Counter()
        self.rows: list[tuple[str, str, dict[str, str]]] = []

    def read(self) -> None:
        """Fill the table."""
        for part in self.media:
            self.rows += part.rows(_OF_MEDIA)
        # GBIF gives two hundred columns, and occurrences without a photo too: what is not needed is not kept.
        needed = {key for _, key, _ in self.rows}
        for where, key, values in self.core.rows(_OF_OCCURRENCES):
            if not self.media:
                addresses = values.pop("associatedMedia").replace(",", "|").split("|")
                self.rows += [(where, key, {"identifier": each.strip()}) for each in addresses if each.strip()]
            if key in needed or not self.media:
                self.occurrences[key] = _occurrence(values)
        for _, key, values in self.rows:
            self.names.update(set(address_names(_identifier(values))))
            self.photos_of[key] += 1
        for where, key, values in self.rows:
            self._add(where, key, values)

    def _add(self, where: str, key: str, values: dict[str, str]) -> None:
        found, occurrence = self.table.found, self.occurrences.get(key)
        address = _identifier(values)
        if occurrence is None:
            found.exclude(address or where, "bad_row", f"{where}: no occurrence has the id {key!r}")
            return
        kind = f"{values.get('type', '')} {values.get('format', '')}".lower()
        if "sound" in kind or "audio" in kind or "moving" in kind or "video" in kind:
            found.exclude(address, "not_an_image", f"{where}: {kind.strip()}")
            return
        source = self._source(key, address, values)
        if source is None:
            told = "an address, not downloaded" if is_address(address) else "no such file"
            found.exclude(address or where, "no_file", f"{where}: {told}")
            return
        if occurrence.absent:
            found.exclude(source, "no_animal", f"{where}: occurrenceStatus is absent")
            return
        together = occurrence.values | {term: text for term, text in values.items() if text}
        time = parse_time(together.get("eventDate") or together.get("created"))
        columns = shared(_value(together, column, key, time) for column in self.table.columns)
        given = SPLIT_OF.get(together.get("split", "").lower())
        self.table.records.append(
            Record(source, occurrence.name, ANIMAL, occurrence.ranks, "", columns, time, given, None, where)
        )

    def _source(self, key: str, address: str, values: dict[str, str]) -> str | None:
        """The photo on this disk: by its path, by the end of its address, or by an id; a name of several is none."""
        if not is_address(address) and (source := self.local.at(address)):
            return source
        ends = [name for name in address_names(address) if self.names[name] == 1]
        parent = address_names(address)[0].partition("/")[0]
        number = [parent] if parent.isdecimal() else []  # iNaturalist: photos/12345/original.jpg
        title = path_key(values.get("title", "")) or path_key(values.get("catalogNumber", ""))
        alone = [key] if self.photos_of[key] == 1 else []
        return self.local.called(*ends, *number, title, *alone)


def _identifier(values: dict[str, str]) -> str:
    return values.get("identifier") or values.get("accessURI") or ""


def _value(values: dict[str, str], column: str, key: str, time: object) -> object:
    if column == "observation":
        return key
    if column == "day":
        return values.get("eventDate", "")[:10] if time else None
    names = (column,) if values.get(column) or column not in _ALIASES else _ALIASES[column]
    return next((values[name] for name in names if values.get(name)), None)


def _occurrence(values: dict[str, str]) -> _Occurrence:
    """An occurrence's name and ranks; the species is the binomial, without its author."""
    ranks = {rank: values[rank] for rank in RANKS if values.get(rank)}
    scientific = values.get("scientificName", "")
    if "species" not in ranks:
        epithet = values.get("specificEpithet")
        rank = values.get("taxonRank", "").lower()
        if ranks.get("genus") and epithet:
            ranks["species"] = f"{ranks['genus']} {epithet}"
        elif rank in ("species", "subspecies", "variety", "form") and len(words := scientific.split()) > 1:
            ranks["species"] = " ".join(words[:2])
    if not scientific and ranks:
        scientific = next(ranks[rank] for rank in reversed(RANKS) if rank in ranks)
    return _Occurrence(scientific, ranks, values, values.get("occurrenceStatus", "").lower() == "absent")
