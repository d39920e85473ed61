"""Photos per split and per family."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Line, Part, Section, Table
from analysis.render.svg import BLUE, ORANGE, PURPLE, Picture, Size, canvas, legend
from analysis.render.wording import NONE, count, percent, plural, short_names
from analysis.report.sections import DATA

SPLITS = (("train", "training", BLUE), ("validation", "validation", ORANGE), ("test", "test", PURPLE))


class SplitCounts(NamedTuple):
    """Families, most photos first; `counts` are photos [3 splits, families] in the order train, validation, test."""

    names: tuple[str, ...]
    counts: np.ndarray

    @property
    def totals(self) -> np.ndarray:
        """Photos per family."""
        summed: np.ndarray = self.counts.sum(axis=0)
        return summed


def section(data: ReportData) -> Section | None:
    """A table by split and bars by family; None where the dataset cannot be read."""
    table = splits_table(data)
    if table is None:
        return None
    parts: list[Part] = [table]
    photos = counts_table(data.experiment.manifest)
    if len(photos):
        counts = split_counts(photos)
        said = describe(counts)
        parts.append(Picture("counts", "Photos per family", said, partial(draw, counts), said))
    return Section(DATA, tuple(parts))


def splits_table(data: ReportData) -> Table | None:
    """Photos and families per split."""
    manifest = data.experiment.manifest
    if manifest is None:
        return None
    counts = manifest["counts"]
    total = sum(sum(photos.values()) for photos in counts.values())
    rows = []
    for split, words, _ in SPLITS:
        photos = [number for number in counts.get(split, {}).values() if number]
        smallest = count(min(photos)) if photos else NONE
        share = percent(sum(photos) / total if total else None)
        rows.append(Line((words, count(sum(photos)), share, count(len(photos)), smallest)))
    heads = (Head("split"), *(Head(text, "num") for text in ("photos", "share", "families", "fewest in a family")))
    return Table("splits", "Photos by split", heads, tuple(rows))


def counts_table(manifest: Mapping[str, Any] | None) -> pd.DataFrame:
    """Photos per family (row) and split (column) from a dataset's manifest; empty without one."""
    if manifest is None:
        return pd.DataFrame()
    names, counts = manifest["class_names"], manifest["counts"]
    columns = {split: [counts.get(split, {}).get(name, 0) for name in names] for split, _, _ in SPLITS}
    return pd.DataFrame({"family": names, **columns})


def split_counts(table: pd.DataFrame) -> SplitCounts:
    """Sort the families; `table` has columns family, train, validation, test (photos)."""
    splits = [split for split, _, _ in SPLITS]
    order = table[splits].sum(axis=1).sort_values(ascending=False, kind="stable").index
    short = short_names(list(table["family"]))
    names = tuple(short[name] for name in table.loc[order, "family"])
    return SplitCounts(names, table.loc[order, splits].to_numpy(int).T)


def describe(data: SplitCounts) -> str:
    """The picture in words."""
    totals = data.totals
    return (
        f"{plural(len(data.names), 'family', 'families')}, from {data.names[0]} with {plural(int(totals[0]), 'photo')} "
        f"to {data.names[-1]} with {int(totals[-1])}; the middle one has {int(np.median(totals))}."
    )


def draw(data: SplitCounts, size: Size) -> Figure:
    """Names stand under the bars while they fit; of a long tail only its two ends are named."""
    figure, (axes,) = canvas(size, 330 if size.wide else 280)
    base = np.zeros(len(data.names))
    for row, (_, words, colour) in zip(data.counts, SPLITS, strict=True):
        axes.bar(np.arange(len(data.names)), row, bottom=base, width=0.82, color=colour, label=words)
        base = base + row
    if len(data.names) <= (60 if size.wide else 22):
        axes.set_xticks(range(len(data.names)), data.names, rotation=90)
    else:
        axes.set_xticks([0, len(data.names) - 1], [data.names[0], data.names[-1]])
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[1].set_horizontalalignment("right")
        axes.set_xlabel(f"{len(data.names)} families, most photos first")
    axes.set_xlim(-0.6, len(data.names) - 0.4)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("photos")
    legend(figure, axes, size)
    return figure
