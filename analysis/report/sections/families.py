"""F1 of each family before and after oversampling."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.render.svg import BLUE, FAINT, INK, MUTED, VERMILION, Picture, Size, canvas, legend, picture, scale_for
from analysis.render.wording import percent, plural, short_names

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
        tuple(_scores(shown, prefix, split) for prefix, split in (("val", "validation"), ("test", "test"))),
        len(table),
    )


def _scores(table: pd.DataFrame, prefix: str, split: str) -> FamilyScores:
    before, after = (
        tuple(float(value) for value in table[f"{prefix}_f1_{stage}"].astype(float)) for stage in ("before", "after")
    )
    return FamilyScores(split, before, after)


def families_picture(data: Families) -> Picture:
    """A row per family, a panel per split."""
    return picture("families", "F1 of each family", describe(data), lambda size: draw(data, size), describe(data))


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
    row = 17 if size.name == "wide" else 18
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
