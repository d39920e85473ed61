"""The photos behind the final model's mistakes, as they stand in the page."""

import base64
import csv
from pathlib import Path
from typing import NamedTuple

from analysis.findings import Findings
from analysis.wording import percent, plural, short_names
from trainables.errors import SweepError


class ExamplePhoto(NamedTuple):
    """A small photo as a data address; `alt` says what it shows, `says` is the line under it ("" for none)."""

    address: str
    alt: str
    says: str


class ConfusedPhotos(NamedTuple):
    """Test photos of one family that were taken for another, and training photos of that other one."""

    title: str
    photos: tuple[ExamplePhoto, ...]
    other: str
    compare: tuple[ExamplePhoto, ...]


class Examples(NamedTuple):
    """The most confident mistakes, the surest first, and the most frequent confusions."""

    mistakes: tuple[ExamplePhoto, ...]
    confused: tuple[ConfusedPhotos, ...]


def examples(findings: Findings) -> Examples | None:
    """Read what the final stage left; None where it left nothing (no mistake, or an older final stage).

    Raises:
        SweepError: its table is damaged.
    """
    folder = findings.experiment.final.folder / "pictures" / "examples" if findings.experiment.final else None
    if folder is None or not (folder / "examples.csv").is_file():
        return None
    try:
        with (folder / "examples.csv").open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if (folder / Path(row["file"]).name).is_file()]
        names = findings.final.families["family"] if findings.final and len(findings.final.families) else ()
        short = short_names(sorted({*names, *(row["family"] for row in rows), *(row["predicted"] for row in rows)}))
        mistakes = tuple(_mistake(folder, row, short) for row in rows if row["kind"] == "mistake")
        confused = tuple(_confused(folder, group, short, findings) for group in _groups(rows))
    except (KeyError, ValueError, UnicodeDecodeError):
        raise SweepError(
            f"{folder / 'examples.csv'} is damaged; `python -m trainables retrain` writes it again"
        ) from None
    return Examples(mistakes, confused) if mistakes else None


def _mistake(folder: Path, row: dict[str, str], short: dict[str, str]) -> ExamplePhoto:
    family, predicted = short[row["family"]], short[row["predicted"]]
    sure = percent(float(row["probability"]), 0)
    alt = f"Test photo of {family}, taken for {predicted}"
    return ExamplePhoto(_address(folder, row), alt, f"{family}, taken for {predicted}, {sure} sure")


def _groups(rows: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """The rows of each confusion: its test photos, then the photos to compare them with."""
    groups: list[list[dict[str, str]]] = []
    for row in rows:
        if row["kind"] == "confused":
            pair = (row["family"], row["predicted"])
            if not groups or (groups[-1][0]["family"], groups[-1][0]["predicted"]) != pair:
                groups.append([])
            groups[-1].append(row)
        elif row["kind"] == "compare" and groups:
            groups[-1].append(row)
    return groups


def _confused(folder: Path, group: list[dict[str, str]], short: dict[str, str], findings: Findings) -> ConfusedPhotos:
    family, predicted = group[0]["family"], group[0]["predicted"]
    name, other = short[family], short[predicted]
    test = findings.final.test_predictions if findings.final else None
    said = ""
    if test is not None and len(test):
        own = test[test["family"] == family]
        said = f", {int((own['predicted'] == predicted).sum())} of {plural(len(own), 'test photo')}"
    photos = tuple(
        ExamplePhoto(_address(folder, row), f"Test photo of {name}, taken for {other}", "")
        for row in group
        if row["kind"] == "confused"
    )
    compare = tuple(
        ExamplePhoto(_address(folder, row), f"Training photo of {other}", "")
        for row in group
        if row["kind"] == "compare"
    )
    return ConfusedPhotos(f"{name} taken for {other}{said}", photos, other, compare)


def _address(folder: Path, row: dict[str, str]) -> str:
    content = base64.b64encode((folder / Path(row["file"]).name).read_bytes()).decode("ascii")
    return f"data:image/jpeg;base64,{content}"
