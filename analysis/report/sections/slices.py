"""Slices: each searched knob against what the trials reached."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.render.knob_axis import KnobValues, knob_axis, knob_values, varied
from analysis.render.svg import BLUE, INK, VERMILION, Picture, Size, canvas, legend, picture, scale_for, thin
from analysis.render.wording import drawn_note, knob_words, metric_words, plural, setting

DRAWN = 400  # trials a panel


class Slices(NamedTuple):
    """The knobs that differ between trials; `values` and `pruned` belong to each position, `best` is one of them."""

    metric: str
    slices: tuple[KnobValues, ...]
    values: tuple[float, ...]
    pruned: tuple[bool, ...]
    best: int
    total: int


def slices(trials: pd.DataFrame, metric: str, mode: str, log: Collection[str] = ()) -> Slices:
    """Compute the slices over the trials that have a value; `log` names the knobs searched on a logarithmic scale."""
    valued = trials.dropna(subset=["value"]).sort_values("trial").reset_index(drop=True)
    if valued.empty:
        return Slices(metric, (), (), (), 0, 0)
    values = valued["value"].to_numpy(float)
    best = int(values.argmax() if mode == "max" else values.argmin())
    drawn = thin(len(valued), DRAWN, keep=[best])
    shown = valued.iloc[drawn]
    return Slices(
        metric,
        tuple(knob_values(name, shown[name], log) for name in varied(valued)),
        tuple(float(value) for value in shown["value"]),
        tuple(bool(pruned) for pruned in shown["state"] == "pruned"),
        drawn.index(best),
        len(valued),
    )


def slices_picture(data: Slices) -> Picture:
    """A panel per knob."""
    note = drawn_note(len(data.values), data.total, "trial")
    return picture("slices", "Settings and scores", describe(data), lambda size: draw(data, size), note)


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
    columns = max(1, min(4 if size.name == "wide" else 2, len(data.slices)))
    rows = -(-max(1, len(data.slices)) // columns)
    height = (250 if size.name == "wide" else 200) * rows + 50
    figure, panels = canvas(size, height, rows, columns, sharey=True)
    for axes, each in zip(panels, data.slices, strict=False):
        _panel(axes, each, data)
    for axes in panels[len(data.slices) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel(metric_words(data.metric) if size.name == "wide" else "")
    legend(figure, panels[0], size)
    return figure


def _panel(axes: Axes, each: KnobValues, data: Slices) -> None:
    x, y, pruned = np.array(each.positions), np.array(data.values), np.array(data.pruned, bool)
    axes.scatter(x[~pruned], y[~pruned], s=32, color=BLUE, label="trained to its end", zorder=3)
    axes.scatter(x[pruned], y[pruned], s=32, marker="x", color=VERMILION, label="stopped early", zorder=3)
    axes.scatter(x[[data.best]], y[[data.best]], s=150, facecolor="none", edgecolor=INK, label="best", zorder=4)
    axes.set_title(knob_words(each.knob))
    scale_for(axes, data.metric)
    knob_axis(axes, each)
