"""Slices: each searched knob against what the trials reached."""

import math
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis.drawing import BLUE, INK, VERMILION, Picture, Size, canvas, legend, picture, power_of_ten, scale_for, thin
from analysis.wording import drawn_note, knob_words, metric_words, plural, setting

DRAWN = 400  # trials a panel
FEW = 6  # a knob with at most this many values is drawn as that many places, evenly spaced


class Slice(NamedTuple):
    """One knob. `positions` are the values, or places in `categories` when the knob's values are words or switches."""

    knob: str
    positions: tuple[float, ...]
    categories: tuple[str, ...]
    log: bool


class Slices(NamedTuple):
    """The knobs that differ between trials; `values` and `pruned` belong to each position, `best` is one of them."""

    metric: str
    slices: tuple[Slice, ...]
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
    knobs = [name for name in map(str, valued) if name.startswith("param_") and valued[name].nunique() > 1]
    return Slices(
        metric,
        tuple(_slice(name, shown[name], name.removeprefix("param_") in log) for name in knobs),
        tuple(float(value) for value in shown["value"]),
        tuple(bool(pruned) for pruned in shown["state"] == "pruned"),
        drawn.index(best),
        len(valued),
    )


def _slice(name: str, column: pd.Series, log: bool) -> Slice:
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and column.nunique() > FEW:
        return Slice(name, tuple(column.to_numpy(float).tolist()), (), log)
    known = sorted(column.dropna().unique().tolist(), key=float if numeric else str)
    places = {value: float(place) for place, value in enumerate(known)}
    positions = tuple(places.get(value, math.nan) for value in column.tolist())
    return Slice(name, positions, tuple(setting(value) for value in known), False)


def slices_picture(data: Slices) -> Picture:
    """A panel per knob."""
    note = drawn_note(len(data.values), data.total, "trial")
    return picture("slices", "Settings and scores", describe(data), lambda size: draw(data, size), note)


def describe(data: Slices) -> str:
    """The picture in words: where the best trial lies within each knob's range."""
    parts = []
    for each in data.slices:
        finite = [position for position in each.positions if math.isfinite(position)]
        where = each.positions[data.best]
        if each.categories:
            parts.append(f"{knob_words(each.knob)} {each.categories[int(where)]}")
        else:
            span = f"tried from {setting(min(finite))} to {setting(max(finite))}"
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


def _panel(axes: Axes, each: Slice, data: Slices) -> None:
    x, y, pruned = np.array(each.positions), np.array(data.values), np.array(data.pruned, bool)
    axes.scatter(x[~pruned], y[~pruned], s=32, color=BLUE, label="trained to its end", zorder=3)
    axes.scatter(x[pruned], y[pruned], s=32, marker="x", color=VERMILION, label="stopped early", zorder=3)
    axes.scatter(x[[data.best]], y[[data.best]], s=150, facecolor="none", edgecolor=INK, label="best", zorder=4)
    axes.set_title(knob_words(each.knob))
    scale_for(axes, data.metric)
    if each.categories:
        longest = max(len(word) for word in each.categories)
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if longest > 5 else {}
        axes.set_xticks(range(len(each.categories)), each.categories, **turned)
        axes.set_xlim(-0.6, len(each.categories) - 0.4)
    elif each.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(power_of_ten))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
