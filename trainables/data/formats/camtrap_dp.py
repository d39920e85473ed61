"""Camtrap DP 1.0 (https://camtrap-dp.tdwg.org): deployments, media and observations in one data package.

The rows are checked by pydantic models that say what the standard's table schemas say of the columns used here; a test
compares the two. frictionless writes time zones otherwise than it reads them, and camtrapdp keeps booleans as text.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from trainables.data.crops import Box
from trainables.data.formats.local_files import LocalFiles, address_names, is_address
from trainables.data.formats.records import ANIMAL, Record, Table, listed_and_there, report_unlisted, shared
from trainables.data.formats.taxonomy import RANKS, Ranks, key
from trainables.data.photo_files import Found
from trainables.errors import UserError
from trainables.files.output import named_errors, parse_table, read_text

PACKAGE = "datapackage.json"
RESOURCES = ("deployments", "media", "observations")
_MISSING = frozenset({"", "NA", "NaN", "nan"})
_NEEDS = "a Camtrap DP package is a folder with datapackage.json, deployments.csv, media.csv and observations.csv"


class Deployment(BaseModel):
    """A camera at a place for a time."""

    deploymentID: str
    locationID: str | None = None
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    deploymentStart: AwareDatetime
    deploymentEnd: AwareDatetime
    setupBy: str | None = None


class Medium(BaseModel):
    """A photo, video or sound."""

    mediaID: str
    deploymentID: str
    captureMethod: Literal["activityDetection", "timeLapse"] | None = None
    timestamp: AwareDatetime
    filePath: str
    filePublic: bool
    fileName: str | None = None
    fileMediatype: str = Field(pattern=r"^(image|video|audio)/.*$")


class Observation(BaseModel):
    """What is seen on one medium, or in one event."""

    observationID: str
    deploymentID: str
    mediaID: str | None = None
    eventID: str | None = None
    eventStart: AwareDatetime
    eventEnd: AwareDatetime
    observationLevel: Literal["media", "event"]
    observationType: Literal["animal", "human", "vehicle", "blank", "unknown", "unclassified"]
    scientificName: str | None = None
    individualID: str | None = None
    bboxX: float | None = Field(None, ge=0, le=1)
    bboxY: float | None = Field(None, ge=0, le=1)
    bboxWidth: float | None = Field(None, ge=1e-15, le=1)
    bboxHeight: float | None = Field(None, ge=1e-15, le=1)
    classificationMethod: Literal["human", "machine"] | None = None
    classifiedBy: str | None = None
    classificationTimestamp: AwareDatetime | None = None
    classificationProbability: float | None = Field(None, ge=0, le=1)


_Row = TypeVar("_Row", bound=BaseModel)


class Line(NamedTuple):
    """A row as it stands in the file, and where."""

    where: str
    cells: dict[str, str]


class CamtrapDP:
    """See formats.records.Format."""

    name = "Camtrap DP"
    rule = "media.csv has a row for each, with an observation of it or of its event"

    def recognises(self, root: Path) -> bool:
        """The folder has a data package with the three resources."""
        try:
            content = json.loads((root / PACKAGE).read_bytes())
            return {each["name"] for each in content["resources"]} >= set(RESOURCES)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def read(self, root: Path) -> Table:
        """See Format."""
        package = Package(root)
        table = Table(package.found, together=("sequence",))
        own = {PACKAGE, *package.files.values()}
        there = listed_and_there(root, table.found, own)
        columns = [column for name in ("deployments", "media") for column in package.columns[name]]
        table.columns = (*dict.fromkeys(columns), *_OF_OBSERVATIONS, *_ALIASES)
        _Reader(package, LocalFiles(there), table).read()
        report_unlisted(table.found, there, table.records, "media.csv")
        return table


_OF_OBSERVATIONS = ("eventID", "individualID")
_ALIASES = ("station", "sequence", "day", "photographer", "specimen")


class Package:
    """The tables of a package; rows that break the schema or refer to nothing are in `found.excluded`."""

    def __init__(self, root: Path) -> None:
        self.found = Found(CamtrapDP.name)
        with named_errors(root / PACKAGE, _NEEDS):
            try:
                self.content: dict[str, Any] = json.loads(read_text(root / PACKAGE))
                paths = {each["name"]: each.get("path") for each in self.content["resources"]}
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{root / PACKAGE} is no data package ({error}); {_NEEDS}") from None
        profile = str(self.content.get("profile", ""))
        if "camtrap-dp/0." in profile:
            raise UserError(f"{root / PACKAGE} is of an older version ({profile}); versions 1.0 and later are read")
        if missing := [name for name in RESOURCES if not isinstance(paths.get(name), str)]:
            raise UserError(f"{root / PACKAGE} names no file for {', '.join(missing)}; {_NEEDS}")
        self.files = {name: str(paths[name]) for name in RESOURCES}
        self.columns: dict[str, list[str]] = {}
        deployments = self._rows(root, "deployments", Deployment)
        self.deployments = {row.deploymentID: (row, line) for row, line in deployments}
        media = self._known(self._rows(root, "media", Medium))
        self.media = {row.mediaID: (row, line) for row, line in media}
        self.observations = self._known(self._rows(root, "observations", Observation))

    def _rows(self, root: Path, name: str, model: type[_Row]) -> list[tuple[_Row, Line]]:
        file = root / self.files[name]
        with named_errors(file, _NEEDS):
            self.columns[name], lines = parse_table(read_text(file))
            cells = list(lines)
        needed = [column for column, field in model.model_fields.items() if field.is_required()]
        if lacking := [column for column in needed if column not in self.columns[name]]:
            raise UserError(f"{file} lacks the column(s) {', '.join(lacking)}, which Camtrap DP requires")
        rows = []
        for number, row in cells:
            line = Line(f"{file.name} line {number}", {column: text or "" for column, text in row.items() if column})
            try:
                given = {column: text for column, text in line.cells.items() if text not in _MISSING}
                rows.append((model.model_validate(given), line))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                problem = (
                    "is empty" if first["type"] == "missing" else f"{first['msg'].lower()}, not {first['input']!r}"
                )
                told = f"{line.where}: {first['loc'][0]} {problem}"
                if (
                    model is Deployment and "deploymentID" in given
                ):  # Its place may be kept secret; its photos are good.
                    self.found.warnings.append(told)
                    kept: dict[str, Any] = {"locationID": None, "setupBy": None, **given}
                    rows.append((model.model_construct(None, **kept), line))
                else:
                    self.found.exclude(line.where, "bad_row", told)
        return rows

    def _known(self, rows: list[tuple[_Row, Line]]) -> list[tuple[_Row, Line]]:
        """Those whose deployment is there."""
        kept = []
        for row, line in rows:
            deployment = line.cells["deploymentID"]
            if deployment in self.deployments:
                kept.append((row, line))
            else:
                self.found.exclude(line.where, "bad_row", f"{line.where}: no deployment is called {deployment!r}")
        return kept


class _Reader:
    """Records of a package's photos."""

    def __init__(self, package: Package, local: LocalFiles, table: Table) -> None:
        self.package, self.local, self.table = package, local, table
        self.ranks = {key(str(name)): ranks for name, ranks in _taxonomic(package.content)}
        self.machine = self.events = 0

    def read(self) -> None:
        """Fill the table."""
        found = self.table.found
        by_medium, by_event = self._observations()
        for medium_id, (medium, line) in self.package.media.items():
            source = _source(medium, self.local)
            if source is None:
                where = "an address, not downloaded" if is_address(medium.filePath) else "no such file"
                found.exclude(medium.filePath, "no_file", f"{line.where}: {where}")
            elif not medium.fileMediatype.startswith("image/"):
                found.exclude(source, "not_an_image", f"{line.where}: {medium.fileMediatype}")
            else:
                observed = by_medium.get(medium_id, [])
                if not observed:
                    observed = by_event(medium)
                    self.events += bool(observed)
                self._add(source, medium, line, observed)
        if self.machine:
            found.warnings.append(
                f"{self.machine} labels of a model are not used where a person labelled the same photo"
            )
        if self.events:
            found.warnings.append(f"{self.events} photos have the label of their event, which may not be true of each")
        models = sum(record.kind == ANIMAL and "machine" in record.where for record in self.table.records)
        if models:
            found.warnings.append(f"{models} labels are a model's, that no person gave")

    def _observations(self) -> tuple[dict[str, list[Any]], Any]:
        """The observations of each medium; and a function that gives those of the event that a medium is in."""
        by_medium: dict[str, list[Any]] = {}
        events: dict[str, list[Any]] = {}
        for row, line in self.package.observations:
            if row.observationLevel == "event":
                events.setdefault(row.deploymentID, []).append((row, line))
            elif row.mediaID in self.package.media:
                by_medium.setdefault(row.mediaID or "", []).append((row, line))
            else:
                self.table.found.exclude(line.where, "bad_row", f"{line.where}: no medium is called {row.mediaID!r}")

        def of_event(medium: Medium) -> list[Any]:
            near = events.get(medium.deploymentID, [])
            return [each for each in near if each[0].eventStart <= medium.timestamp <= each[0].eventEnd]

        return by_medium, of_event

    def _add(self, source: str, medium: Medium, line: Line, observed: Sequence[tuple[Observation, Line]]) -> None:
        told = [each for each in observed if each[0].observationType != "unclassified"]
        people = [each for each in told if each[0].classificationMethod != "machine"]
        if people and len(people) < len(told):
            self.machine += len(told) - len(people)
            told = people
        if not told:
            self.table.found.exclude(source, "no_label", f"{line.where}: no observation speaks of it")
        for row, at in told:
            name = row.scientificName or ""
            where = f"{at.where}{' (machine)' if row.classificationMethod == 'machine' else ''}"
            values = shared(self._value(medium, line, row, column) for column in self.table.columns)
            self.table.records.append(
                Record(source, name, row.observationType, self.ranks.get(key(name), {}), medium.mediaID, values,
                       medium.timestamp, None, _box(row), where)
            )  # fmt: skip

    def _value(self, medium: Medium, line: Line, row: Observation, column: str) -> object:
        deployment, of_deployment = self.package.deployments[medium.deploymentID]
        match column:
            case "station":
                return deployment.locationID or deployment.deploymentID
            case "sequence" | "eventID":
                return row.eventID
            case "specimen" | "individualID":
                return row.individualID
            case "photographer":
                return deployment.setupBy
            case "day":
                return medium.timestamp.date().isoformat()
        return line.cells.get(column) or of_deployment.cells.get(column)


def _source(medium: Medium, local: LocalFiles) -> str | None:
    if not is_address(medium.filePath):
        return local.at(medium.filePath)
    # Downloaded, it is called as the package calls it, by its id, or as the address ends.
    return local.called(medium.fileName or "", medium.mediaID, *address_names(medium.filePath))


def media_by_source(package: Package, sources: Sequence[str]) -> dict[str, Medium]:
    """The medium of each photo that the package has; `sources` are paths below the package's folder."""
    local = LocalFiles(sources)
    found = {_source(medium, local): medium for medium, _ in package.media.values()}
    return {source: medium for source, medium in found.items() if source is not None}


def _box(row: Observation) -> Box | None:
    parts = (row.bboxX, row.bboxY, row.bboxWidth, row.bboxHeight)
    return None if None in parts else Box(*parts)  # type: ignore[arg-type]


def _taxonomic(content: dict[str, Any]) -> Iterator[tuple[str, Ranks]]:
    """Names of the package's taxonomic scope with their ranks: those given, and the name itself at its own rank."""
    for taxon in content.get("taxonomic") or []:
        if isinstance(taxon, dict) and isinstance(taxon.get("scientificName"), str):
            ranks = {rank: str(taxon[rank]) for rank in RANKS if taxon.get(rank)}
            if taxon.get("taxonRank") in RANKS:
                ranks[taxon["taxonRank"]] = taxon["scientificName"]
            yield taxon["scientificName"], ranks


COLUMNS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel",
    "observationType", "cameraSetupType", "scientificName", "count", "lifeStage", "sex", "behavior", "individualID",
    "individualPositionRadius", "individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth",
    "bboxHeight", "classificationMethod", "classifiedBy", "classificationTimestamp", "classificationProbability",
    "observationTags", "observationComments",
)  # fmt: skip
"""All columns of the standard's observations, in its order: readers look for each."""


def write_observations(file: Path, rows: Sequence[Observation]) -> None:
    """Write an observations table; times as the schema wants them, nothing for what is not known."""
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            values = row.model_dump(mode="json")
            writer.writerow(["" if (value := values.get(column)) is None else value for column in COLUMNS])
