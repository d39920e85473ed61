"""Slices: each searched knob against what the trials reached."""

from collections.abc import Collection
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.knob_axis import KnobValues, knob_axis, knob_values, log_knobs, varied
from analysis.render.section import Section
from analysis.render.svg import BLUE, INK, VERMILION, Picture, Size, grid, legend, scale_for, thin
from analysis.render.wording import drawn_note, knob_words, metric_words, plural, setting
from analysis.report.sections import SETTINGS

DRAWN = 400  # trials a panel


class Slices(NamedTuple):
    """The knobs that differ, with a position for each drawn trial; `best` is the place of the best in `drawn`."""

    metric: str
    slices: tuple[KnobValues, ...]
    drawn: pd.DataFrame
    best: int
    total: int


def section(data: ReportData) -> Section | None:
    """A panel per knob; None where no knob differs between trials with a value."""
    found = slices(data.frames.trials, data.metric, data.mode, log_knobs(data.experiment.sweep["space"]))
    if not found.slices:
        return None
    note = (
        "Each dot is a trial: what it was set to, and what it reached. Trials that were stopped early could not show "
        f"all they can. {drawn_note(len(found.drawn), found.total, 'trial')}"
    )
    return Section(SETTINGS, (Picture("slices", "Settings and scores", describe(found), partial(draw, found), note),))


def slices(trials: pd.DataFrame, metric: str, mode: str, log: Collection[str] = ()) -> Slices:
    """Compute the slices over the trials that have a value; `log` names the knobs searched on a logarithmic scale."""
    valued = trials.dropna(subset=["value"]).sort_values("trial").reset_index(drop=True)
    if valued.empty:
        return Slices(metric, (), valued, 0, 0)
    values = valued["value"].to_numpy(float)
    best = int(values.argmax() if mode == "max" else values.argmin())
    drawn = thin(len(valued), DRAWN, keep=[best])
    shown = valued.iloc[drawn]
    knobs = tuple(knob_values(name, shown[name], log) for name in varied(valued))
    return Slices(metric, knobs, shown, drawn.index(best), len(valued))


def describe(data: Slices) -> str:
    """The picture in words: where the best trial lies within each knob's range."""
    parts = []
    for each in data.slices:
        where = each.positions[data.best]
        if each.categories:
            parts.append(f"{knob_words(each.knob)} {each.categories[int(where)]}")
        else:
            low, high = each.span
            span = f"tried from {setting(low)} to {setting(high)}"
            parts.append(f"{knob_words(each.knob)} {setting(where)} ({span})")
    return f"Dots for {plural(data.total, 'trial')}. The best has " + "; ".join(parts) + "."


def draw(data: Slices, size: Size) -> Figure:
    """Small panels with one scale of scores, four in a row on a wide page and two on a phone."""
    columns, row = (4, 250) if size.wide else (2, 200)
    figure, panels = grid(size, len(data.slices), columns, row, 50, metric_words(data.metric))
    y, pruned = data.drawn["value"].to_numpy(float), (data.drawn["state"] == "pruned").to_numpy(bool)
    for axes, each in zip(panels, data.slices, strict=True):
        x = np.array(each.positions)
        axes.scatter(x[~pruned], y[~pruned], s=32, color=BLUE, label="trained to its end", zorder=3)
        axes.scatter(x[pruned], y[pruned], s=32, marker="x", color=VERMILION, label="stopped early", zorder=3)
        axes.scatter(x[[data.best]], y[[data.best]], s=150, facecolor="none", edgecolor=INK, label="best", zorder=4)
        axes.set_title(knob_words(each.knob))
        scale_for(axes, data.metric)
        knob_axis(axes, each)
    legend(figure, panels[0], size)
    return figure
