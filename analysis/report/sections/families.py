"""F1 of each family before and after oversampling."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Heading, Line, Section, Table
from analysis.render.svg import BLUE, FAINT, INK, MUTED, VERMILION, Picture, Size, canvas, legend, scale_for
from analysis.render.wording import count, percent, plural, points, short_names

DRAWN = 60  # rows; a longer picture is read worse than the table


class FamilyScores(NamedTuple):
    """F1 (shares of 1) on one split, a value per family drawn; `after` is all NaN when nothing was oversampled."""

    split: str
    before: tuple[float, ...]
    after: tuple[float, ...]


class Families(NamedTuple):
    """The families drawn, lowest test F1 before oversampling last; `total` counts all families."""

    names: tuple[str, ...]
    oversampled: tuple[bool, ...]
    scores: tuple[FamilyScores, ...]
    total: int

    @property
    def compared(self) -> bool:
        """Whether there is an "after" to compare with."""
        return bool(np.isfinite([value for each in self.scores for value in each.after]).any())


def section(data: ReportData) -> Section | None:
    """An arrow and a row for every family; None without a final stage."""
    table = families_table(data)
    if data.final is None or table is None:
        return None
    scores = families(data.final.families)
    note = (
        "Arrows go from before to after oversampling, lowest test F1 before it at the top. + marks the oversampled "
        f"families. Where a family has few test photos, one photo moves its F1 by many points. {describe(scores)}"
    )
    picture = Picture("families", "F1 of each family", describe(scores), partial(draw, scores), note)
    return Section(Heading("families", "Families"), (picture, table))


def families_table(data: ReportData) -> Table | None:
    """Every family: photos, F1 before and after, precision and recall on test."""
    if data.final is None or data.final.families.empty:
        return None
    table = data.final.families
    short = short_names(list(table["family"]))
    order = table.sort_values(f"test_f1_{data.final.chosen}", na_position="last")
    rows = []
    for row in order.to_dict("records"):
        name = f"{short[str(row['family'])]}{' +' if row.get('oversampled') else ''}"
        photos = [count(row.get(f"{split}_photos")) for split in ("train", "validation", "test")]
        before, after = row["test_f1_before"], row["test_f1_after"]
        scores = [percent(row[key]) for key in ("val_f1_before", "val_f1_after", "test_f1_before", "test_f1_after")]
        change = points(None if pd.isna(before) or pd.isna(after) else after - before)
        kept = [percent(row.get(key)) for key in ("test_precision", "test_recall")]
        rows.append(Line((name, *photos, *scores, change, *kept)))
    heads = (
        Head("family"),
        *(Head(split, "num", "photos") for split in ("training", "validation", "test")),
        *(Head(stage, "num", "validation F1") for stage in ("before", "after")),
        *(Head(text, "num", "test F1") for text in ("before", "after", "change")),
        *(Head(text, "num", "test") for text in ("precision", "recall")),
    )
    note = (
        "Lowest test F1 first. Before and after oversampling; the change is in percentage points. "
        "+ marks the families whose training photos were oversampled."
    )
    return Table("families", "Every family", heads, tuple(rows), note)


def families(table: pd.DataFrame) -> Families:
    """Choose and order the families; `table` is families.csv of the final stage.

    Beyond the limit, oversampled families and those with the lowest F1 are kept.
    """
    short = short_names(list(table["family"]))
    tested = table[table[["val_f1_before", "test_f1_before"]].notna().any(axis=1)]
    first = tested.sort_values(["oversampled", "test_f1_before"], ascending=[False, True]).head(DRAWN)
    shown = first.sort_values(["test_f1_before", "val_f1_before"], ascending=False)
    return Families(
        tuple(short[name] for name in shown["family"]),
        tuple(bool(flag) for flag in shown["oversampled"]),
        tuple(
            FamilyScores(split, *(tuple(shown[f"{prefix}_f1_{stage}"].astype(float)) for stage in ("before", "after")))
            for prefix, split in (("val", "validation"), ("test", "test"))
        ),
        len(table),
    )


def describe(data: Families) -> str:
    """The picture in words."""
    head = f"A row for each of {plural(len(data.names), 'family', 'families')} of {data.total}."
    test = np.array([data.scores[1].before, data.scores[1].after])
    if data.compared:
        change = test[1] - test[0]
        rose, fell = int((change > 0).sum()), int((change < 0).sum())
        return f"{head} On test, {rose} rose and {fell} fell after {sum(data.oversampled)} were oversampled."
    if np.isnan(test[0]).all():
        return head
    worst = int(np.nanargmin(test[0]))
    return f"{head} Lowest on test: {data.names[worst]}, {percent(test[0, worst])}."


def draw(data: Families, size: Size) -> Figure:
    """An open dot before, a full one after, joined by a line."""
    row = 17 if size.wide else 18
    figure, panels = canvas(size, row * len(data.names) + 110, 1, 2, sharey=True)
    for axes, scores in zip(panels, data.scores, strict=True):
        _panel(axes, data, scores)
        axes.set_title(scores.split)
    names = [f"{name} +" if extra else name for name, extra in zip(data.names, data.oversampled, strict=True)]
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(-0.7, len(names) - 0.3)
    for label, extra in zip(panels[0].get_yticklabels(), data.oversampled, strict=True):
        label.set_color(INK if extra else MUTED)
    legend(figure, panels[0], size)
    return figure


def _panel(axes: Axes, data: Families, scores: FamilyScores) -> None:
    rows = np.arange(len(data.names))
    before, after = np.array(scores.before), np.array(scores.after)
    rose = after >= before
    axes.hlines(rows, before, after, color=[BLUE if up else VERMILION for up in rose], linewidth=1.6, zorder=2)
    name = "before oversampling" if data.compared else "F1"
    axes.scatter(before, rows, s=26, facecolor="none", edgecolor=MUTED, label=name, zorder=3)
    for chosen, marker, colour, label in (
        (rose, ">", BLUE, "after, no lower"),
        (after < before, "<", VERMILION, "after, lower"),
    ):
        if chosen.any():
            axes.scatter(after[chosen], rows[chosen], s=30, marker=marker, color=colour, label=label, zorder=4)
    axes.set_xlim(-0.04, 1.04)
    axes.grid(axis="y", color=FAINT, linewidth=0.3)
    scale_for(axes, "val_macro_f1", "x")
    axes.set_xticks([0, 0.5, 1])
