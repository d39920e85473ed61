"""Comparison page: verdicts, scores with their differences, races, and the scoreboard."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from analysis.compare.candidates import Candidate, scoreboard
from analysis.compare.differences import Difference, differences, model_verdict, other_families, race, verdicts
from analysis.render import svg
from analysis.render.files import write_csv
from analysis.render.page import write_page
from analysis.render.section import Head, Heading, Line, Part, Prose, Section, Table
from analysis.render.svg import Picture, Size
from analysis.render.wording import NONE, count, duration, join_words, metric_words, percent, score
from trainables.errors import UserError
from trainables.files.output import read_rows

TABLE = "comparison.csv"


def own_folder(candidates: Sequence[Candidate], wanted: Path) -> Path:
    """`wanted`, or in it 2, 3, …: the first that holds no comparison of others."""
    labels, place, number = [each.label for each in candidates], wanted, 1
    while compared_in(place) not in (None, labels):
        number += 1
        place = wanted / str(number)
    return place


def compared_in(folder: Path) -> list[str] | None:
    """Whose comparison lies in the folder, in its order; None where there is none."""
    file = folder / TABLE
    return [row.get("experiment", "") for row in read_rows(file)] if file.is_file() else None


def write_comparison(candidates: Sequence[Candidate], folder: Path) -> tuple[Path, list[str]]:
    """Write index.html, comparison.csv and figures/*.svg into `folder`; return the page and its sentences.

    Raises:
        UserError: `folder` cannot be written, or holds another page or a comparison of others.
    """
    others = compared_in(folder)
    if others not in (None, [each.label for each in candidates]):
        raise UserError(f"{folder} holds a comparison of {join_words(others or [], 4)}; give another folder with --out")
    table, said = scoreboard(candidates), verdicts(candidates)
    lead, *more = said or [""]
    summary = Section(Heading("summary", "Summary"), (Prose(lead, style="lead"), *map(Prose, more)))
    page = write_page(
        folder,
        "Raretune comparison",
        (summary, scores_section(candidates, table)),
        lambda out: write_csv(out / TABLE, table),
        name=join_words([each.label for each in candidates], 4),
    )
    return page, said


def scores_section(candidates: Sequence[Candidate], table: pd.DataFrame) -> Section:
    """Scores and differences where there are final models, races where there are sweeps, and the scoreboard."""
    tested, found = table.dropna(subset=["test_macro_f1"]), differences(candidates)
    parts: list[Part] = []
    if len(tested):
        alt = " ".join([*map(model_verdict, found), *other_families(candidates)]) or "One final model alone."
        note = "Lines are intervals over test photos. An interval of a difference that holds 0 means: not told apart."
        parts.append(Picture("scores", "Test macro F1", alt, partial(draw_scores, tested, found), note))
    races = {each.label: run for each in candidates if (run := race(each)) is not None}
    metrics = {each.data.metric for each in candidates if each.data is not None}
    if len(races) > 1 and len(metrics) == 1:
        metric = metrics.pop()
        lasts = {label: (each["best"].iloc[-1], each["epochs"].iloc[-1]) for label, each in races.items()}
        ends = [f"{label} {score(best, metric)} after {epochs} epochs" for label, (best, epochs) in lasts.items()]
        title, alt = "How soon each sweep was how good", f"{join_words(ends)}."
        note = "The best score so far against the epochs that the sweep had spent by then."
        parts.append(Picture("race", title, alt, partial(draw_race, races, metric), note))
    file = Markup('As a file for a spreadsheet: <a href="comparison.csv">comparison.csv</a>.')
    parts += [scores_table(table), Prose(file, style="small quiet")]
    return Section(Heading("comparison", "Scores"), tuple(parts))


def draw_scores(table: pd.DataFrame, found: Sequence[Difference], size: Size) -> Figure:
    """Each model's score with its interval; beside it (on a phone below) its difference from the first."""
    height, rows = 34 * len(table) + 90, np.arange(len(table))[::-1]
    names = [svg.beside_axis(name, size) for name in table["experiment"]]
    shape = size.beside(2) if found else (1, 1)
    figure, (left, *more) = svg.canvas(size, shape[0] * height, *shape)
    left.hlines(rows, table["test_macro_f1_low"], table["test_macro_f1_high"], color=svg.BLUE, linewidth=3)
    left.scatter(table["test_macro_f1"], rows, s=60, color=svg.BLUE, zorder=3)
    left.set_yticks(rows, names)
    left.set_ylim(-0.6, len(table) - 0.4)
    left.set_title("Test macro F1")
    svg.scale_for(left, "macro_f1", "x")
    for right in more:
        places = dict(zip(table["experiment"], rows, strict=True))
        for difference in found:
            row = places[difference.label]
            value, low, high = (100 * share for share in difference.macro_f1)
            colour = svg.GREEN if low > 0 else svg.VERMILION if high < 0 else svg.MUTED
            marker = ">" if low > 0 else "<" if high < 0 else "o"
            right.hlines(row, low, high, color=colour, linewidth=3)
            right.scatter([value], [row], s=60, marker=marker, color=colour, zorder=3)
        right.axvline(0, color=svg.FAINT, linewidth=1.5)
        right.set_title(f"Difference from {svg.beside_axis(found[0].first, size)}, in points")
        right.set_yticks(rows, [""] * len(table) if size.wide else names)
        right.set_ylim(left.get_ylim())
    return figure


def draw_race(races: Mapping[str, pd.DataFrame], metric: str, size: Size) -> Figure:
    """A step line for each sweep."""
    figure, (axes,) = svg.canvas(size, 340)
    for place, (label, each) in enumerate(races.items()):
        colour, dashes = svg.STYLES[place % len(svg.STYLES)]
        axes.step(each["epochs"], each["best"], where="post", color=colour, linestyle=dashes, linewidth=2, label=label)
    axes.set_xlabel("epochs run, over all trials")
    axes.set_ylabel(f"best {metric_words(metric)} so far")
    svg.scale_for(axes, metric)
    svg.legend(figure, axes, size)
    return figure


def scores_table(table: pd.DataFrame) -> Table:
    """The scoreboard for the page."""
    heads = (
        Head("experiment", "plain"),
        *(Head(text, "num") for text in ("settings", "seed", "trials", "epochs", "time")),
        Head("best in the sweep", "num"),
        *(Head(text, "num", "test") for text in ("macro F1", "95 % interval", "accuracy", "photos")),
    )
    rows = []
    for row in table.to_dict("records"):
        known: dict[Any, Any] = {name: None if pd.isna(value) else value for name, value in row.items()}
        low, high = (percent(known[f"test_macro_f1_{end}"]) for end in ("low", "high"))
        cells = (
            str(row["experiment"]),
            *(count(known[name]) for name in ("settings", "seed", "trials", "epochs")),
            duration(known["seconds"]),
            NONE if known["best_value"] is None else score(known["best_value"], str(row["metric"])),
            percent(known["test_macro_f1"]),
            NONE if known["test_macro_f1_low"] is None else f"{low} to {high}",
            percent(known["test_accuracy"]),
            count(known["test_photos"]),
        )
        rows.append(Line(cells))
    note = "The same number under settings: sweeps that differ in nothing but the seed. Intervals are over test photos."
    return Table("scores", "Side by side", heads, tuple(rows), note)
