"""F1 of each family before and after oversampling."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Heading, Line, Section, Table
from analysis.render.svg import BLUE, FAINT, INK, MUTED, VERMILION, Picture, Size, canvas, dots, legend, scale_for
from analysis.render.wording import count, percent, plural, points, short_names

DRAWN = 60  # rows; a longer picture is read worse than the table


def section(data: ReportData) -> Section | None:
    """An arrow and a row for every family; None without a final stage."""
    table = families_table(data)
    if data.final is None or table is None:
        return None
    scores = families(data.final.families)
    said = describe(scores, len(data.final.families))
    what = "Lowest test F1 at the top."
    if compared(scores):
        what = "Arrows go from before to after oversampling, lowest test F1 before it at the top."
        what += " + marks the oversampled families."
    note = f"{what} Where a family has few test photos, one photo moves its F1 by many points. {said}"
    picture = Picture("families", "F1 of each family", said, partial(draw, scores), note)
    return Section(Heading("families", "Families"), (picture, table))


def families_table(data: ReportData) -> Table | None:
    """Every family: photos, F1 before and after, precision and recall on test."""
    if data.final is None or data.final.families.empty:
        return None
    table = data.final.families
    short = short_names(list(table["family"]))
    twice, has_test = data.final.oversampled, bool(data.final.figures(data.final.tested, "test"))
    column = f"test_f1_{data.final.tested}" if has_test else f"val_f1_{data.final.chosen}"
    order = table.sort_values(column, na_position="last")
    stages, columns = (["before", "after"] if twice else ["before"]), set(table.columns[table.notna().any()])
    validated, tested = (
        [stage for stage in (*stages, *more) if stage in stages or f"{split}_f1_{stage}" in columns]
        for split, more in (("val", ["ensemble", "probe"]), ("test", ["ensemble", "refit", "probe"]))
    )
    tested = tested if has_test else []
    rows = []
    for row in order.to_dict("records"):
        name = f"{short[str(row['family'])]}{' +' if row.get('oversampled') else ''}"
        photos = [count(row.get(f"{split}_photos")) for split in ("train", "validation", "test")]
        scores = [percent(row[f"val_f1_{stage}"]) for stage in validated]
        scores += [percent(row[f"test_f1_{stage}"]) for stage in tested]
        if twice and has_test:
            scores.insert(len(validated) + 2, points(_change(row)))
        kept = [percent(row.get(key)) for key in ("test_precision", "test_recall") if has_test]
        rows.append(Line((name, *photos, *scores, *kept)))
    words = {"before": "before" if twice else "F1", "refit": "last fit"}
    test_heads = [words.get(stage, stage) for stage in tested]
    if twice and has_test:
        test_heads.insert(2, "change")
    # A column alone is called F1 itself.
    groups = {
        split: split if stages == ["before"] and not twice else f"{split} F1"
        for split, stages in (("validation", validated), ("test", tested))
    }
    heads = (
        Head("family"),
        *(Head(split, "num", "photos") for split in ("training", "validation", "test")),
        *(Head(words.get(stage, stage), "num", groups["validation"]) for stage in validated),
        *(Head(text, "num", groups["test"]) for text in test_heads),
        *(Head(text, "num", "test") for text in ("precision", "recall") if has_test),
    )
    note = f"Lowest {'test' if has_test else 'validation'} F1 first."
    if twice:
        note += (
            " Before and after oversampling; the change is in percentage points. "
            "+ marks the families whose training photos were oversampled."
        )
    return Table("families", "Every family", heads, tuple(rows), note)


def _change(row: dict[Any, Any]) -> float | None:
    """By how much oversampling moved a family's test F1; None where one of both is missing."""
    before, after = row["test_f1_before"], row["test_f1_after"]
    return None if pd.isna(before) or pd.isna(after) else after - before


def families(table: pd.DataFrame) -> pd.DataFrame:
    """The rows drawn, with a short `name`, lowest test F1 before oversampling last; `table` is families.csv.

    Beyond the limit, oversampled families and those with the lowest F1 are kept.
    """
    named = table.assign(name=table["family"].map(short_names(list(table["family"]))))
    tested = named[named[["val_f1_before", "test_f1_before"]].notna().any(axis=1)]
    first = tested.sort_values(["oversampled", "test_f1_before"], ascending=[False, True]).head(DRAWN)
    return first.sort_values(["test_f1_before", "val_f1_before"], ascending=False)


def compared(data: pd.DataFrame) -> bool:
    """Whether there is an "after" to compare with."""
    return bool(data[["val_f1_after", "test_f1_after"]].notna().to_numpy().any())


def describe(data: pd.DataFrame, total: int) -> str:
    """The picture in words; `total` counts all families."""
    head = f"A row for each of {plural(len(data), 'family', 'families')} of {total}."
    before = data["test_f1_before"].astype(float)
    if compared(data):
        change = data["test_f1_after"].astype(float) - before
        rose, fell = int((change > 0).sum()), int((change < 0).sum())
        return f"{head} On test, {rose} rose and {fell} fell after {data['oversampled'].sum()} were oversampled."
    if before.isna().all():
        return head
    worst = data.iloc[int(np.nanargmin(before))]
    return f"{head} Lowest on test: {worst['name']}, {percent(worst['test_f1_before'])}."


def draw(data: pd.DataFrame, size: Size) -> Figure:
    """An open dot before, a full one after, joined by a line."""
    figure, panels = canvas(size, (17 if size.wide else 18) * len(data) + 110, 1, 2, sharey=True)
    rows = np.arange(len(data))
    for axes, (prefix, split) in zip(panels, (("val", "validation"), ("test", "test")), strict=True):
        before, after = (data[f"{prefix}_f1_{stage}"].to_numpy(float) for stage in ("before", "after"))
        rose = after >= before
        axes.hlines(rows, before, after, color=[BLUE if up else VERMILION for up in rose], linewidth=1.6, zorder=2)
        name = "before oversampling" if compared(data) else "F1"
        axes.scatter(before, rows, s=26, facecolor="none", edgecolor=MUTED, label=name, zorder=3)
        dots(axes, after[rose], rows[rose], s=30, marker=">", color=BLUE, label="after, no lower", zorder=4)
        fell = after < before
        dots(axes, after[fell], rows[fell], s=30, marker="<", color=VERMILION, label="after, lower", zorder=4)
        axes.set_xlim(-0.04, 1.04)
        axes.grid(axis="y", color=FAINT, linewidth=0.3)
        scale_for(axes, "val_macro_f1", "x")
        axes.set_xticks([0, 0.5, 1])
        axes.set_title(split)
    names = [f"{name} +" if extra else name for name, extra in zip(data["name"], data["oversampled"], strict=True)]
    panels[0].set_yticks(rows, names)
    panels[0].set_ylim(-0.7, len(names) - 0.3)
    for label, extra in zip(panels[0].get_yticklabels(), data["oversampled"], strict=True):
        label.set_color(INK if extra else MUTED)
    legend(figure, panels[0], size)
    return figure
