"""Predictions as the observations of a Camtrap DP package (https://camtrap-dp.tdwg.org)."""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from trainables.data.formats.camtrap_dp import (
    PACKAGE,
    Medium,
    Observation,
    Package,
    media_by_source,
    write_observations,
)
from trainables.data.formats.records import ANIMAL, BLANK, OTHER_KINDS
from trainables.data.formats.taxonomy import key
from trainables.errors import UserError
from trainables.files.output import whole_or_nothing, write_json
from trainables.inference.crops import EMPTY, Result
from trainables.inference.keras_model import Answer

_FAMILIES = ("idae", "aceae")  # of animals; of plants, fungi and algae


def write_package(root: Path, out: Path, results: Sequence[Result], model: str) -> int:
    """Write a package whose observations are the predictions; deployments and media are those of the package in `root`.

    The photos are not copied: media keep their paths. Returns the number of observations.

    Raises:
        UserError: `root` is no such package, or has none of the photos.
    """
    package = Package(root)
    media = media_by_source(package, [result.source for result in results])
    if not media:
        raise UserError(f"{root / package.files['media']} has none of the {len(results)} photos")
    names = {key(str(each.get("scientificName", ""))): str(each.get("scientificName")) for each in _taxa(package)}
    now = datetime.now(UTC).replace(microsecond=0)
    events = {row.mediaID: row.eventID for row, _ in package.observations}
    rows = []
    for result in results:
        if (medium := media.get(result.source)) is not None:
            said: Sequence[Answer | None] = result.answers or [None]
            for number, answer in enumerate(said, 1):
                rows.append(_observation(medium, number, answer, result, names, model, now, events.get(medium.mediaID)))
    found = {row.scientificName for row in rows if row.scientificName}
    package.content["taxonomic"] = [
        *_taxa(package),
        *({"scientificName": name} for name in sorted(found - {*names.values()})),
    ]
    package.content["created"] = now.isoformat().replace("+00:00", "Z")
    for resource in package.content["resources"]:
        if resource["name"] in package.files:
            resource["path"] = f"{resource['name']}.csv"
    with whole_or_nothing(out) as folder:
        for name in ("deployments", "media"):
            shutil.copyfile(root / package.files[name], folder / f"{name}.csv")
        write_observations(folder / "observations.csv", rows)
        write_json(json.loads(json.dumps(package.content)), folder / PACKAGE)
    return len(rows)


def _taxa(package: Package) -> list[dict[str, object]]:
    return [each for each in package.content.get("taxonomic") or [] if isinstance(each, dict)]


def _observation(
    medium: Medium, number: int, answer: Answer | None, result: Result, names: Mapping[str, str], model: str,
    now: datetime, event: str | None,
) -> Observation:  # fmt: skip
    """What is said of one photo, or of one box in it.

    `unknown` where it is unlike all that the model was trained on; `unclassified` where nothing could be said.
    """
    guess = answer.guesses[0] if answer and answer.guesses else None
    name, kind = None, "unclassified"
    if answer is not None and answer.unknown:
        kind = "unknown"
    elif guess is not None:
        kind = guess.family if guess.family in OTHER_KINDS else ANIMAL
        name = scientific_name(guess.family, names) if kind == ANIMAL else None
    elif result.why == EMPTY:
        kind = BLANK
    box = answer.share if answer else None
    left, top, width, height = box[:4] if box and kind == ANIMAL else (None,) * 4
    return Observation(
        observationID=f"{medium.mediaID}_{number}",
        deploymentID=medium.deploymentID,
        mediaID=medium.mediaID,
        eventID=event,
        eventStart=medium.timestamp,
        eventEnd=medium.timestamp,
        observationLevel="media",
        observationType=kind,
        scientificName=name,
        bboxX=left,
        bboxY=top,
        bboxWidth=width,
        bboxHeight=height,
        classificationMethod=None if kind == "unclassified" else "machine",
        classifiedBy=None if kind == "unclassified" else model,
        classificationTimestamp=None if kind == "unclassified" else now,
        classificationProbability=round(guess.probability, 6) if guess and kind != "unknown" else None,
    )


def scientific_name(label: str, names: Mapping[str, str]) -> str:
    """A label as a scientific name: as the package writes it, else the family of `phylum_family`, else capitalised.

    Args:
        names: the package's names by their key.
    """
    if label in names:
        return names[label]
    words = label.split("_")
    if len(words) == 2 and words[1].endswith(_FAMILIES):
        words = words[1:]
    return " ".join(words).capitalize()
