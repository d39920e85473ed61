"""The photos behind the final model's mistakes, as they stand in the page."""

import itertools
from pathlib import Path
from typing import NamedTuple

from analysis.data.report_data import Findings
from analysis.render.wording import percent, plural, short_names
from trainables.errors import UserError
from trainables.files.experiment import EXAMPLES_FILE, EXAMPLES_FOLDER, MISTAKES_FILE, PICTURES_FOLDER
from trainables.files.output import data_uri, read_rows

MISTAKES = 12  # shown; the final stage keeps more

Row = dict[str, str]


class ExamplePhoto(NamedTuple):
    """A small photo as a data address; `alt` says what it shows, `says` is the line under it ("" for none).

    `why` is the same photo with what spoke for the answer (Grad-CAM) laid over it, "" where there is none.
    """

    address: str
    alt: str
    says: str = ""
    why: str = ""


class ConfusedPhotos(NamedTuple):
    """Test photos of one family that were taken for another, and training photos of that other one."""

    title: str
    photos: tuple[ExamplePhoto, ...]
    other: str
    compare: tuple[ExamplePhoto, ...]


class Examples(NamedTuple):
    """The most confident mistakes, the surest first, and the most frequent confusions; empty where there are none."""

    mistakes: tuple[ExamplePhoto, ...]
    confused: tuple[ConfusedPhotos, ...]


def examples(findings: Findings) -> Examples:
    """Read what the final stage left: pictures/mistakes.csv, pictures/examples/examples.csv, and the files they name.

    Raises:
        UserError: one of the tables is damaged.
    """
    if findings.experiment.final is None:
        return Examples((), ())
    pictures = findings.experiment.final.folder / PICTURES_FOLDER
    mistakes = _rows(pictures / MISTAKES_FILE, {"photo", "family", "predicted", "probability"})
    confused = _rows(pictures / EXAMPLES_FOLDER / EXAMPLES_FILE, {"file", "kind", "family", "predicted"})
    both = [*mistakes, *confused]
    known = {row[column] for row in both for column in ("family", "predicted")}
    if findings.final is not None and len(findings.final.families):
        known |= set(findings.final.families["family"])
    short = short_names(sorted(known))
    return Examples(
        tuple(_mistake(pictures, row, short) for row in mistakes[:MISTAKES] if (pictures / row["photo"]).is_file()),
        tuple(
            _confused(pictures / "examples", group, short, findings)
            for group in _groups([row for row in confused if (pictures / EXAMPLES_FOLDER / row["file"]).is_file()])
        ),
    )


def _rows(file: Path, columns: set[str]) -> list[Row]:
    """Rows whose file names stay in the folder."""
    if not file.is_file():
        return []
    try:
        rows = read_rows(file)
        bare = {Path(row[key]).name == row[key] for row in rows for key in columns & {"photo", "file"}}
        damaged = any(None in row.values() or not columns <= set(row) for row in rows) or False in bare
        for row in rows if "probability" in columns else ():
            float(row["probability"])
    except (KeyError, TypeError, ValueError):
        damaged = True
    if damaged:
        raise UserError(f"{file} is damaged; `python -m trainables retrain` writes it again")
    return rows


def _mistake(folder: Path, row: Row, short: dict[str, str]) -> ExamplePhoto:
    family, predicted = short[row["family"]], short[row["predicted"]]
    says = f"{family}, taken for {predicted}, {percent(float(row['probability']), 0)} sure"
    overlay = folder / Path(row.get("cam") or "").name
    why = _address(overlay) if row.get("cam") and overlay.is_file() else ""
    return ExamplePhoto(_address(folder / row["photo"]), f"Test photo of {family}, taken for {predicted}", says, why)


def _groups(rows: list[Row]) -> list[list[Row]]:
    """The rows of each confusion: its test photos, then the photos to compare them with."""
    starts = [
        place
        for place, row in enumerate(rows)
        if row["kind"] == "confused" and (place == 0 or _pair(rows[place - 1]) != _pair(row))
    ]
    return [rows[start:end] for start, end in itertools.pairwise([*starts, len(rows)])]


def _pair(row: Row) -> tuple[str, str, str]:
    return row["kind"], row["family"], row["predicted"]


def _confused(folder: Path, group: list[Row], short: dict[str, str], findings: Findings) -> ConfusedPhotos:
    family, predicted = group[0]["family"], group[0]["predicted"]
    name, other = short[family], short[predicted]
    said = ""
    if findings.final is not None and len(test := findings.final.test_predictions):
        own = test[test["family"] == family]
        said = f", {int((own['predicted'] == predicted).sum())} of {plural(len(own), 'test photo')}"

    def photos(kind: str, alt: str) -> tuple[ExamplePhoto, ...]:
        return tuple(ExamplePhoto(_address(folder / row["file"]), alt) for row in group if row["kind"] == kind)

    wrong = photos("confused", f"Test photo of {name}, taken for {other}")
    return ConfusedPhotos(
        f"{name} taken for {other}{said}", wrong, other, photos("compare", f"Training photo of {other}")
    )


def _address(file: Path) -> str:
    return data_uri(file.read_bytes())


_SHOWN = {
    "samples.jpg": (
        "Photos of each family",
        "Rows of up to six training photos of a family, with its name and count: the most numerous families first, "
        "then, where there are many, the rarest.",
    ),
    "augmentation.jpg": (
        "What augmentation makes of a photo",
        "Rows of a training photo as it is, followed by the altered views of it that training was shown.",
    ),
}


class Photograph(NamedTuple):
    """A JPEG as a data address, with its caption and the text for those who cannot see it."""

    name: str
    title: str
    alt: str
    address: str


def photographs(findings: Findings) -> list[Photograph]:
    """Those pictures that the final stage left."""
    record = findings.experiment.final
    if record is None:
        return []
    return [
        Photograph(name.partition(".")[0], title, alt, _address(file))
        for name, (title, alt) in _SHOWN.items()
        if (file := record.folder / PICTURES_FOLDER / name).is_file()
    ]
