"""Data of the experiment: photos, origin, weights, and that splits are disjoint."""

from typing import Any

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Line, Photograph, Prose, Section, Table
from analysis.render.wording import NONE, SPLITS, count, join_words, moment, percent, plural
from analysis.report.sections import DATA
from trainables.files.experiment import PICTURES_FOLDER
from trainables.files.output import data_uri

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


def section(data: ReportData) -> Section:
    """The final stage's pictures of the training photos, the facts, and the proof if it was made."""
    unproven = Prose("That no photo is in two splits is checked, and shown here, when the final stage runs.")
    return Section(DATA, (*photographs(data), data_table(data), disjoint_table(data) or unproven))


def photographs(data: ReportData) -> list[Photograph]:
    """Those pictures that the final stage left."""
    record = data.experiment.final
    return [
        Photograph(file.stem, title, alt, data_uri(file.read_bytes()))
        for name, (title, alt) in _SHOWN.items()
        if record is not None and (file := record.folder / PICTURES_FOLDER / name).is_file()
    ]


def data_table(data: ReportData) -> Table:
    """Which photos and which weights were used."""
    manifest: dict[str, Any] = data.experiment.manifest or {}
    excluded = {str(reason): int(number) for reason, number in manifest.get("excluded", {}).items()}
    left_out = join_words([f"{count(number)} {reason}" for reason, number in sorted(excluded.items())]) or "none"
    best = data.experiment.best
    fingerprint = best.dataset_fingerprint if best else manifest.get("fingerprint", "")
    split = None
    if manifest:
        train, validation, test = (percent(share, 0) for share in manifest["fractions"])
        split = f"{train} training, {validation} validation, {test} test, seed {manifest['seed']}"
        if manifest.get("groups"):
            split += f"; {plural(int(manifest['groups']), 'group')} of photos kept whole"
    weights = [str(data.weights[key]) for key in ("requested", "kind", "detail") if data.weights.get(key)]
    return facts_table(
        "data",
        "Data and weights",
        {
            "photos from": manifest.get("source"),
            "prepared in": data.experiment.sweep["dataset"],
            "prepared on": moment(manifest.get("created")),
            "fingerprint of photos and split": f"{fingerprint[:16]}…" if len(fingerprint) > 16 else fingerprint,
            "families": count(len(manifest["class_names"])) if manifest else None,
            "label": manifest.get("label_level"),
            "split": split,
            "kept together": join_words([str(rule) for rule in manifest.get("grouping", [])]),
            "photos left out": left_out if manifest else None,
            "weights the backbone started from": ": ".join(weights) or "not recorded",
        },
    )


def facts_table(name: str, caption: str, facts: dict[str, object]) -> Table:
    """A row for each fact that is known."""
    lines = tuple(Line((what, str(value))) for what, value in facts.items() if value not in (None, ""))
    return Table(name, caption, (Head("what"), Head("value", "fact")), lines, sticky=False)


def disjoint_table(data: ReportData) -> Table | None:
    """The proof that no photo is in two splits: a row per pair of splits and a column per comparison."""
    leaks = data.leaks or {}
    pairs: list[dict[str, Any]] = leaks.get("pairs", [])
    if not pairs:
        return None
    compared = list(dict.fromkeys(str(pair["by"]) for pair in pairs))
    rows: dict[str, dict[str, str]] = {}
    for pair in pairs:
        name = f"{SPLITS.get(str(pair['a']), pair['a'])} and {SPLITS.get(str(pair['b']), pair['b'])}"
        rows.setdefault(name, {})[str(pair["by"])] = f"{pair['shared']} shared"
    lines = tuple(Line((name, *(cells.get(by, NONE) for by in compared))) for name, cells in rows.items())
    heads = (Head("splits"), *(Head(f"by {by}", "num") for by in compared))
    caption = "Some photos are in two splits" if any(pair["shared"] for pair in pairs) else "No photo is in two splits"
    notes = ["Checked by the final stage before it trained.", *map(str, leaks.get("notes", []))]
    return Table("disjoint", caption, heads, lines, " ".join(notes))
