"""Photos of the final model's mistakes."""

import itertools
from pathlib import Path

import pandas as pd

from analysis.data.report_data import ReportData
from analysis.render.section import Cards, ConfusedPhotos, Part, Photo, Prose, Section
from analysis.render.wording import percent, plural, short_names
from analysis.report.sections import MISTAKES
from trainables.errors import UserError
from trainables.files.experiment import EXAMPLES_FILE, EXAMPLES_FOLDER, MISTAKES_FILE, PICTURES_FOLDER
from trainables.files.output import data_uri, read_rows

MISTAKES_SHOWN = 12  # the final stage keeps more

Row = dict[str, str]


def section(data: ReportData) -> Section | None:
    """Photos of confused families, then single mistakes; None without either or without test predictions."""
    mistakes, confused = examples(data)
    parts: list[Part] = []
    if confused:
        text = "Test photos that were named wrongly, beside training photos of the family they were taken for."
        parts += [Prose(text, "Photos of families that were confused"), *confused]
    if mistakes:
        text = "The test photos that the model was surest of and named wrongly: some may have the wrong label."
        if mistakes[0].why:
            text += " Beside each, what in the photo spoke for the wrong answer (Grad-CAM)."
        parts += [Prose(text, "The most confident mistakes"), Cards(mistakes)]
    return Section(MISTAKES, tuple(parts)) if parts and len(data.test_photos) else None


def examples(data: ReportData) -> tuple[tuple[Photo, ...], list[ConfusedPhotos]]:
    """The most confident mistakes, the surest first, and the most frequent confusions; empty where there are none.

    The final stage left them: pictures/mistakes.csv, pictures/examples/examples.csv, and the files they name.

    Raises:
        UserError: one of the tables is damaged.
    """
    if data.experiment.final is None or data.final is None:
        return (), []
    pictures = data.experiment.final.folder / PICTURES_FOLDER
    mistakes = _rows(pictures / MISTAKES_FILE, "photo", {"family", "predicted", "probability"})
    confused = _rows(pictures / EXAMPLES_FOLDER / EXAMPLES_FILE, "file", {"kind", "family", "predicted"})
    known = {row[column] for row in (*mistakes, *confused) for column in ("family", "predicted")}
    short = short_names(sorted({*known, *data.final.families.get("family", ())}))
    cards = []
    for row in mistakes[:MISTAKES_SHOWN]:
        photo, overlay = pictures / row["photo"], pictures / Path(row.get("cam") or "").name
        if photo.is_file():
            taken = f"{short[row['family']]}, taken for {short[row['predicted']]}"
            why = data_uri(overlay.read_bytes()) if row.get("cam") and overlay.is_file() else ""
            says = f"{taken}, {percent(float(row['probability']), 0)} sure"
            cards.append(Photo(data_uri(photo.read_bytes()), f"Test photo of {taken}", says, why))
    folder = pictures / EXAMPLES_FOLDER
    there = [row for row in confused if (folder / row["file"]).is_file()]
    # A confusion: its test photos, then the photos to compare them with.
    keys = [(row["kind"], row["family"], row["predicted"]) for row in there]
    starts = [at for at, key in enumerate(keys) if key[0] == "confused" and (at == 0 or keys[at - 1] != key)]
    groups = [there[start:end] for start, end in itertools.pairwise([*starts, len(there)])]
    return tuple(cards), [_confused(folder, group, short, data.test_photos) for group in groups]


def _rows(file: Path, photo: str, columns: set[str]) -> list[Row]:
    """A table's rows; its `photo` column holds names of files in its folder."""
    if not file.is_file():
        return []
    try:
        rows = read_rows(file)
        damaged = any(
            None in row.values() or not columns <= set(row) or Path(row[photo]).name != row[photo] for row in rows
        )
        for row in rows if "probability" in columns else ():
            float(row["probability"])
    except (KeyError, TypeError, ValueError):
        damaged = True
    if damaged:
        raise UserError(f"{file} is damaged; `python -m trainables retrain` writes it again")
    return rows


def _confused(folder: Path, group: list[Row], short: dict[str, str], test: pd.DataFrame) -> ConfusedPhotos:
    family, predicted = group[0]["family"], group[0]["predicted"]
    title = f"{short[family]} taken for {short[predicted]}"
    alts = {
        "confused": f"Test photo of {short[family]}, taken for {short[predicted]}",
        "compare": f"Training photo of {short[predicted]}",
    }
    if len(test):
        own = test[test["family"] == family]
        title += f", {int((own['predicted'] == predicted).sum())} of {plural(len(own), 'test photo')}"
    wrong, compare = (
        tuple(Photo(data_uri((folder / row["file"]).read_bytes()), alt) for row in group if row["kind"] == kind)
        for kind, alt in alts.items()
    )
    return ConfusedPhotos(title, wrong, short[predicted], compare)
