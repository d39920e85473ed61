"""Pareto front of trials over objective and model cost."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from analysis.data.frames import COST_COLUMNS, TRIAL_COLUMNS
from analysis.data.report_data import ReportData
from analysis.render.section import Heading, Prose, Section, Table, retrain_command
from analysis.render.svg import BLUE, DRAWN, GREEN, INK, VERMILION, Picture, Size, canvas, dots, legend, scale_for, thin
from analysis.render.wording import UNITS, cost_words, count, drawn_note, metric_words, plural, score, sentence_case
from analysis.report.sections.trials_table import trials_lines

_DECADE = 10  # Costs that differ by more than this factor are drawn on a logarithmic scale.


class Front(NamedTuple):
    """Trials with a value, the cheapest first: those drawn, and the front's; `total` counts all with a value."""

    metric: str
    cost: str
    drawn: pd.DataFrame
    members: pd.DataFrame
    total: int


def section(data: ReportData) -> Section | None:
    """The front as a picture, a table, and a command; None where the sweep weighs no cost or nothing has a result."""
    table, cost, members = front_table(data), data.experiment.cost, data.experiment.front
    if table is None or cost is None:
        return None
    found = front(data.frames.trials, data.metric, cost)
    title = sentence_case(f"{metric_words(data.metric)} against {metric_words(cost)}")
    better = "up" if data.mode == "max" else "down"
    note = (
        f"Further left is cheaper, further {better} is better. The line shows what can be had for so much; numbers are "
        f"those of its trials. {drawn_note(len(found.drawn), found.total, 'trial')}"
    )
    picture = Picture("front", title, describe(found), partial(draw, found), note)
    other = (
        Prose("To train another than the best to its end, the cheapest for one:"),
        retrain_command(data.experiment.front_file(members[-1])),
    )
    retrain = other if len(members) > 1 and data.experiment.best is not None else ()
    return Section(Heading("front", "Score and cost"), (picture, table, *retrain))


def front(trials: pd.DataFrame, metric: str, cost: str) -> Front:
    """Compute it from the trials frame, whose columns `front` and the one named by `cost` say what the sweep found."""
    known = trials.dropna(subset=["value", cost]).sort_values([cost, "trial"]).reset_index(drop=True)
    on_it = np.flatnonzero(known["front"].to_numpy(bool)).tolist()
    return Front(metric, cost, known.iloc[thin(len(known), DRAWN, keep=on_it)], known.iloc[on_it], len(known))


def describe(data: Front) -> str:
    """The picture in words."""
    members = [
        f"trial {row['trial']} {score(row['value'], data.metric)} at {cost_words(row[data.cost], data.cost)}"
        for row in data.members.to_dict("records")
    ]
    return (
        f"Dots for {plural(len(data.drawn), 'trial')}, at what each reached and what its model costs. A step line "
        f"joins the {count(len(members))} of the front, the cheapest first: {'; '.join(members)}."
    )


def draw(data: Front, size: Size) -> Figure:
    """Dots by how the trial ended, and a step line through the front: what can be had for so much."""
    figure, (axes,) = canvas(size, 340 if size.wide else 300)
    x, y = (data.drawn[name].to_numpy(float) for name in (data.cost, "value"))
    front_x, front_y = (data.members[name].to_numpy(float) for name in (data.cost, "value"))
    # Who may spend more than the dearest of the front costs still has that one.
    steps = ([*front_x, x.max()], [*front_y, front_y[-1]])
    axes.step(*steps, where="post", color=GREEN, linewidth=2, label="front", zorder=2)
    stopped = (data.drawn["state"] == "pruned").to_numpy(bool)
    dots(axes, x[~stopped], y[~stopped], marker="o", s=44, color=BLUE, label="not stopped", zorder=3)
    style: dict[str, Any] = {"marker": "x", "linewidth": 1.6, "color": VERMILION, "label": "stopped early"}
    dots(axes, x[stopped], y[stopped], s=44, zorder=3, **style)
    dots(axes, front_x, front_y, s=150, facecolor="none", edgecolor=INK, label="on the front", zorder=3)
    for trial, at_x, at_y in zip(data.members["trial"], front_x, front_y, strict=True):
        axes.annotate(str(trial), (at_x, at_y), (9, 5), textcoords="offset points", color=INK)
    axes.margins(x=0.08, y=0.12)
    scale_for(axes, data.metric)
    if x.max() > _DECADE * x.min() > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        scale_for(axes, data.cost, "x")
    axes.set_xlabel(f"{metric_words(data.cost)}, {UNITS.get(data.cost, '')}")
    axes.set_ylabel(metric_words(data.metric))
    legend(figure, axes, size, columns=4)
    return figure


def front_table(data: ReportData) -> Table | None:
    """The front's trials, best first; None where the sweep weighs no cost, or nothing has a result yet."""
    cost = data.experiment.cost
    if cost is None or data.front.empty:
        return None
    columns = {name: TRIAL_COLUMNS[name] for name in ("trial", "value", "best_epoch")} | {cost: COST_COLUMNS[cost]}
    heads, rows = trials_lines(data, data.front, columns)
    return Table("front", "The front, best first", heads, rows, "The highlighted trial is the one in best.json.")
