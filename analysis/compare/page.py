"""The comparison as a page: verdicts, a plot of scores and differences, the sweeps' races, and the table."""

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.compare.candidates import Candidate
from analysis.compare.differences import Difference, Race, differences, race
from analysis.compare.scoreboard import scoreboard
from analysis.compare.verdicts import model_verdict, verdicts
from analysis.render.files import own_folder, write_text
from analysis.render.page import render_page, write_figures
from analysis.render.svg import (
    BLUE,
    FAINT,
    GREEN,
    MUTED,
    STYLES,
    VERMILION,
    Picture,
    Size,
    canvas,
    legend,
    picture,
    scale_for,
)
from analysis.render.table import Head, Line, Table
from analysis.render.wording import NONE, count, duration, join_words, metric_words, moment, percent, score

PAGE = "index.html"
MARK = "Raretune comparison"


def write_comparison(candidates: Sequence[Candidate], folder: Path) -> tuple[Path, list[str]]:
    """Write index.html, comparison.csv and figures/*.svg into `folder`; return the page and its sentences.

    Raises:
        UserError: `folder` cannot be written or holds another page.
    """
    folder = own_folder(folder, PAGE, MARK)
    table = scoreboard(candidates)
    said = verdicts(candidates)
    pictures = {each.name: each for each in draw_all(candidates, table)}
    page = render_page(
        "compare/comparison.html.j2",
        MARK,
        pictures,
        name=join_words([each.label for each in candidates], 4),
        written=moment(datetime.datetime.now(datetime.UTC).isoformat()),
        sentences=said,
        tables={"scores": scores_table(table)},
    )
    write_text(folder / "comparison.csv", table.to_csv(index=False))
    write_figures(folder / "figures", pictures.values())
    write_text(folder / PAGE, page)
    return folder / PAGE, said


def draw_all(candidates: Sequence[Candidate], table: pd.DataFrame) -> Iterator[Picture]:
    """Scores and differences where there are final models, races where there are sweeps."""
    tested = table.dropna(subset=["test_macro_f1"])
    found = differences(candidates)
    if len(tested):
        said = " ".join(model_verdict(difference) for difference in found) or "One final model alone."
        yield picture("scores", "Test macro F1", said, lambda size: draw_scores(tested, found, size))
    races = [each for each in map(race, candidates) if each is not None]
    metrics = {each.findings.metric for each in candidates if each.findings is not None}
    if len(races) > 1 and len(metrics) == 1:
        metric = metrics.pop()
        ends = [f"{each.label} {score(each.best[-1], metric)} after {each.epochs[-1]} epochs" for each in races]
        yield picture(
            "race",
            "How soon each sweep was how good",
            f"{join_words(ends)}.",
            lambda size: draw_race(races, metric, size),
        )


def draw_scores(table: pd.DataFrame, found: Sequence[Difference], size: Size) -> Figure:
    """Each model's score with its interval; beside it (on a phone below) its difference from the first."""
    wide = size.name == "wide"
    height = 34 * len(table) + 90
    if not found:
        figure, (left,) = canvas(size, height)
        _intervals(left, table)
        return figure
    shape = (1, 2) if wide else (2, 1)
    figure, (left, right) = canvas(size, height if wide else 2 * height, *shape)
    _intervals(left, table)
    rows = np.arange(len(table))[::-1][1:]
    for row, difference in zip(rows, found, strict=True):
        value, low, high = (100 * share for share in difference.macro_f1)
        colour = GREEN if low > 0 else VERMILION if high < 0 else MUTED
        marker = ">" if low > 0 else "<" if high < 0 else "o"
        right.hlines(row, low, high, color=colour, linewidth=3)
        right.scatter([value], [row], s=60, marker=marker, color=colour, zorder=3)
    right.axvline(0, color=FAINT, linewidth=1.5)
    right.set_yticks(np.arange(len(table))[::-1], table["experiment"] if not wide else [""] * len(table))
    right.set_ylim(-0.6, len(table) - 0.4)
    right.set_title(f"Difference from {found[0].first}, in points")
    return figure


def _intervals(axes: Axes, table: pd.DataFrame) -> None:
    rows = np.arange(len(table))[::-1]
    axes.hlines(rows, table["test_macro_f1_low"], table["test_macro_f1_high"], color=BLUE, linewidth=3)
    axes.scatter(table["test_macro_f1"], rows, s=60, color=BLUE, zorder=3)
    axes.set_yticks(rows, table["experiment"])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_title("Test macro F1")
    scale_for(axes, "macro_f1", "x")


def draw_race(races: Sequence[Race], metric: str, size: Size) -> Figure:
    """A step line for each sweep."""
    figure, (axes,) = canvas(size, 340)
    for place, each in enumerate(races):
        colour, dashes = STYLES[place % len(STYLES)]
        axes.step(each.epochs, each.best, where="post", color=colour, linestyle=dashes, linewidth=2, label=each.label)
    axes.set_xlabel("epochs run, over all trials")
    axes.set_ylabel(f"best {metric_words(metric)} so far")
    scale_for(axes, metric)
    legend(figure, axes, size)
    return figure


def scores_table(table: pd.DataFrame) -> Table:
    """The scoreboard for the page."""
    heads = (
        Head("experiment", "plain"),
        *(Head(text, "num") for text in ("settings", "seed", "trials", "epochs", "time")),
        Head("best in the sweep", "num"),
        *(Head(text, "num", "test") for text in ("macro F1", "95 % interval", "accuracy", "photos")),
    )
    rows = tuple(_line(row) for row in table.to_dict("records"))
    note = "The same number under settings: sweeps that differ in nothing but the seed. Intervals are over test photos."
    return Table("Side by side", heads, rows, note)


def _line(row: dict[Any, Any]) -> Line:
    low, high = (percent(row[f"test_macro_f1_{end}"]) for end in ("low", "high"))
    numbers = [NONE if pd.isna(row[name]) else count(row[name]) for name in ("settings", "seed", "trials", "epochs")]
    best = NONE if pd.isna(row["best_value"]) else score(row["best_value"], str(row["metric"]))
    return Line(
        (
            str(row["experiment"]),
            *numbers,
            duration(row["seconds"]),
            best,
            percent(row["test_macro_f1"]),
            NONE if pd.isna(row["test_macro_f1_low"]) else f"{low} to {high}",
            percent(row["test_accuracy"]),
            NONE if pd.isna(row["test_photos"]) else count(row["test_photos"]),
        )
    )
