"""Data of the experiment: photos per split, origin, weights, disjoint splits."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Line, Part, Photograph, Prose, Section, Table
from analysis.render.svg import BLUE, ORANGE, PURPLE, Picture, Size, canvas, legend
from analysis.render.wording import NONE, SPLITS, count, join_words, moment, percent, plural, short_names
from analysis.report.sections import DATA
from trainables.files.experiment import PICTURES_FOLDER
from trainables.files.output import data_uri

MOST_NOTES = 6
COLOURS = {"train": BLUE, "validation": ORANGE, "test": PURPLE}
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
    """Photos by split and family, the final stage's pictures of them, the facts, and the proof if it was made."""
    manifest, parts = data.experiment.manifest, list[Part]()
    if manifest is not None:
        parts.append(splits_table(manifest))
        counts = split_counts(manifest)
        if len(counts):
            totals = counts.sum(axis=1).tolist()
            first, last = counts.index[0], counts.index[-1]
            said = (
                f"{plural(len(counts), 'family', 'families')}, from {first} with {plural(totals[0], 'photo')} to "
                f"{last} with {totals[-1]}; the middle one has {int(np.median(totals))}."
            )
            parts.append(Picture("counts", "Photos per family", said, partial(draw, counts), said))
    unproven = Prose("That no photo is in two splits is checked, and shown here, when the final stage runs.")
    return Section(DATA, (*parts, *photographs(data), data_table(data), disjoint_table(data) or unproven))


def splits_table(manifest: Mapping[str, Any]) -> Table:
    """Photos and families per split."""
    counts = manifest["counts"]
    total = sum(sum(photos.values()) for photos in counts.values())
    rows = []
    for split in COLOURS:
        photos = [number for number in counts.get(split, {}).values() if number]
        smallest = count(min(photos)) if photos else NONE
        share = percent(sum(photos) / total if total else None)
        rows.append(Line((SPLITS[split], count(sum(photos)), share, count(len(photos)), smallest)))
    heads = (Head("split"), *(Head(text, "num") for text in ("photos", "share", "families", "fewest in a family")))
    return Table("splits", "Photos by split", heads, tuple(rows))


def split_counts(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Photos per family (row, most photos first) and split (column) from a dataset's manifest."""
    counts = {split: manifest["counts"].get(split, {}) for split in COLOURS}
    names = manifest["class_names"]
    table = pd.DataFrame({split: [own.get(name, 0) for name in names] for split, own in counts.items()}, names)
    order = table.sum(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order].rename(index=short_names(names))


def draw(data: pd.DataFrame, size: Size) -> Figure:
    """Names stand under the bars while they fit; of a long tail only its two ends are named."""
    figure, (axes,) = canvas(size, 330 if size.wide else 280)
    base = np.zeros(len(data))
    for split, colour in COLOURS.items():
        axes.bar(np.arange(len(data)), data[split], bottom=base, width=0.82, color=colour, label=SPLITS[split])
        base = base + data[split].to_numpy()
    if len(data) <= (60 if size.wide else 22):
        axes.set_xticks(range(len(data)), list(data.index), rotation=90)
    else:
        axes.set_xticks([0, len(data) - 1], [data.index[0], data.index[-1]])
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[1].set_horizontalalignment("right")
        axes.set_xlabel(f"{len(data)} families, most photos first")
    axes.set_xlim(-0.6, len(data) - 0.4)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("photos")
    legend(figure, axes, size)
    return figure


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
    told = [str(note) for note in leaks.get("notes", [])]
    notes = ["Checked by the final stage before it trained.", *told[:MOST_NOTES]]
    notes += (
        [f"{len(told) - MOST_NOTES} more such lines: `python -m trainables check`."] if len(told) > MOST_NOTES else []
    )
    return Table("disjoint", caption, heads, lines, " ".join(notes))
