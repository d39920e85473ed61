"""Photos with lists in the field's formats, made for the tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.trainables_tests.drawn_photos import drawn

DEPLOYMENTS = "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd,setupBy"
MEDIA = "mediaID,deploymentID,timestamp,filePath,filePublic,fileName,fileMediatype"
OBSERVATIONS = (
    "observationID,deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,observationType,scientificName,"
    "bboxX,bboxY,bboxWidth,bboxHeight,classificationMethod"
)
NOON = "2020-06-01T12:00:00+02:00"


def draw(root: Path, *sources: str, start: int = 0, size: tuple[int, int] = (96, 72)) -> Path:
    """Write a different picture for each source."""
    for number, source in enumerate(sources, start):
        (root / source).parent.mkdir(parents=True, exist_ok=True)
        drawn(number, size).save(root / source)
    return root


def write_lines(file: Path, head: str, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


def write_package(
    root: Path, media: Sequence[str], observations: Sequence[str], taxonomic: Sequence[Mapping[str, str]] = ()
) -> Path:
    """A Camtrap DP package with two deployments, d1 and d2, at the locations north and south."""
    resources = [{"name": name, "path": f"{name}.csv"} for name in ("deployments", "media", "observations")]
    profile = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"
    root.mkdir(parents=True, exist_ok=True)
    package = {"profile": profile, "resources": resources, "taxonomic": list(taxonomic)}
    (root / "datapackage.json").write_text(json.dumps(package))
    span = "2020-01-01T00:00:00Z,2020-12-31T00:00:00Z"
    write_lines(root / "deployments.csv", DEPLOYMENTS, f"d1,north,50,4,{span},ann", f"d2,south,51,5,{span},bob")
    write_lines(root / "media.csv", MEDIA, *media)
    write_lines(root / "observations.csv", OBSERVATIONS, *observations)
    return root


def medium(number: int, path: str = "", deployment: str = "d1", time: str = NOON, kind: str = "image/jpeg") -> str:
    return f"m{number},{deployment},{time},{path or f'media/{number}.jpg'},true,,{kind}"


def observation(
    number: int, name: str, kind: str = "animal", event: str = "", box: str = ",,,", by: str = "human"
) -> str:
    return f"o{number}{by},d1,m{number},{event},{NOON},{NOON},media,{kind},{name},{box},{by}"


def write_coco(
    file: Path, images: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], categories: Sequence[str]
) -> Path:
    """A COCO Camera Traps file; the categories' ids are their places."""
    listed = [{"id": number, "name": name} for number, name in enumerate(categories)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({"info": {"version": "1"}, "images": images, "annotations": annotations, "categories": listed})
    )
    return file.parent


def write_detections(file: Path, images: Sequence[Mapping[str, Any]]) -> Path:
    """MegaDetector's results in format 1.6."""
    categories = {"1": "animal", "2": "person", "3": "vehicle"}
    info = {"format_version": "1.6", "detector": "md_v5a.0.0.pt"}
    file.write_text(json.dumps({"info": info, "detection_categories": categories, "images": images}))
    return file


def detection(box: Sequence[float], conf: float = 0.9, category: str = "1") -> dict[str, Any]:
    return {"category": category, "conf": conf, "bbox": list(box)}


META = """<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="eml.xml">
<core encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"
 rowType="http://rs.tdwg.org/dwc/terms/Occurrence"><files><location>occurrence.txt</location>{more}</files>
<id index="0"/>{core}</core>
<extension encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"
 rowType="http://rs.gbif.org/terms/1.0/Multimedia"><files><location>multimedia.txt</location></files>
<coreid index="0"/>{media}</extension></archive>"""
DWC, DC = "http://rs.tdwg.org/dwc/terms/", "http://purl.org/dc/terms/"


def field(term: str, index: int | None = None, default: str | None = None, space: str = DWC) -> str:
    at = "" if index is None else f' index="{index}"'
    return f'<field{at} term="{space}{term}"{"" if default is None else f" default={default!r}"}/>'


def write_archive(
    root: Path,
    core: str,
    occurrences: Sequence[Sequence[str]],
    media: Sequence[Sequence[str]],
    more: Sequence[Sequence[str]] = (),
) -> Path:
    """A Darwin Core Archive as GBIF writes them; multimedia has gbifID, type, identifier. `more` is a second file."""
    root.mkdir(parents=True, exist_ok=True)
    fields = field("type", 1, space=DC) + field("identifier", 2, space=DC)
    second = "<location>second.txt</location>" if more else ""
    (root / "meta.xml").write_text(META.format(core=core, media=fields, more=second))
    write_lines(root / "multimedia.txt", "gbifID\ttype\tidentifier", *("\t".join(row) for row in media))
    for name, rows in (("occurrence.txt", occurrences), ("second.txt", more)):
        if rows:
            write_lines(root / name, "header", *("\t".join(row) for row in rows))
    return root
