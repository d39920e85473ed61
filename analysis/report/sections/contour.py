"""Contours: what trials near a pair of settings reached on average."""

import itertools
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from analysis.render.knob_axis import KnobValues, knob_axis, knob_values, varied
from analysis.render.svg import BLUE, INK, MUTED, Picture, Size, canvas, picture, thin
from analysis.render.wording import (
    drawn_note,
    is_share,
    join_words,
    knob_words,
    metric_words,
    percent,
    score,
    significant,
)

FEWEST = 10  # trials, below which a surface would be made up
KNOBS = 3  # the pairs of this many knobs are drawn, the most important ones
GRID = 40
LEVELS = 6
DRAWN = 250
REACH = 0.5  # trials' worth of weight that must be near a place before anything is said about it


class Surface(NamedTuple):
    """A pair of knobs. `mean` [GRID, GRID] (y, x) is the smoothed objective, NaN far from every trial.

    `x_grid` and `y_grid` [GRID] are the places on each knob's own scale.
    """

    x: KnobValues
    y: KnobValues
    x_grid: np.ndarray
    y_grid: np.ndarray
    mean: np.ndarray


class Contours(NamedTuple):
    """The surfaces, and which of the drawn trials (positions in each knob's `positions`) is the best."""

    metric: str
    surfaces: tuple[Surface, ...]
    best: int
    drawn: int
    total: int


def contours(
    trials: pd.DataFrame, metric: str, mode: str, important: Sequence[str] = (), log: Collection[str] = ()
) -> Contours | None:
    """Smooth the trials' values over each pair of the knobs named first in `important` (`param_…`), then of any others.

    A kernel mean (Nadaraya and Watson) whose width follows Scott's rule, n^(-1/6) of the axis' spread: it never leaves
    the range of the values that were seen. Trials that were stopped early count with what they had reached.
    """
    valued = trials.dropna(subset=["value"]).reset_index(drop=True)
    known = varied(valued)
    names = [*(name for name in important if name in known), *(name for name in known if name not in important)]
    if len(valued) < FEWEST or len(names) < 2:
        return None
    valued = valued.dropna(subset=names[:KNOBS]).reset_index(drop=True)
    values = valued["value"].to_numpy(float)
    best = int(values.argmax() if mode == "max" else values.argmin())
    knobs = [knob_values(name, valued[name], log) for name in names[:KNOBS]]
    drawn = thin(len(valued), DRAWN, keep=[best])
    surfaces = tuple(_surface(x, y, values, drawn) for x, y in itertools.combinations(knobs, 2))
    return Contours(metric, surfaces, drawn.index(best), len(drawn), len(valued))


def _surface(x: KnobValues, y: KnobValues, values: np.ndarray, drawn: list[int]) -> Surface:
    even = np.linspace(-0.04, 1.04, GRID)
    weights_x, weights_y = (_weights(even, knob.evenly) for knob in (x, y))
    total = weights_y @ weights_x.T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (weights_y * values) @ weights_x.T / total
    mean[total < REACH] = np.nan
    kept = [knob._replace(positions=tuple(knob.positions[index] for index in drawn)) for knob in (x, y)]
    return Surface(kept[0], kept[1], _places(x, even), _places(y, even), mean)


def _weights(grid: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Gaussian weights [grid, trials], 1 where a trial lies on the place."""
    width = max(0.06, float(at.std()) * len(at) ** (-1 / 6))
    weights: np.ndarray = np.exp(-0.5 * ((grid[:, None] - at[None, :]) / width) ** 2)
    return weights


def _places(knob: KnobValues, even: np.ndarray) -> np.ndarray:
    """Evenly spaced places back on the knob's own scale."""
    low, high = knob.span
    if knob.log:
        low, high = np.log10(low), np.log10(high)
    places: np.ndarray = low + even * (high - low)
    return 10**places if knob.log else places


def contours_picture(data: Contours) -> Picture:
    """A panel for each pair."""
    note = f"{describe(data)} {drawn_note(data.drawn, data.total, 'trial')}".strip()
    return picture("contours", "Pairs of settings", describe(data), lambda size: draw(data, size), note)


def describe(data: Contours) -> str:
    """The picture in words: where each surface is best and worst."""
    parts = []
    for surface in data.surfaces:
        low, high = np.nanmin(surface.mean), np.nanmax(surface.mean)
        pair = f"{knob_words(surface.x.knob)} against {knob_words(surface.y.knob)}"
        parts.append(f"{pair} from {score(float(low), data.metric)} to {score(float(high), data.metric)}")
    return f"Mean {metric_words(data.metric)} of the trials nearby: {join_words(parts)}."


def draw(data: Contours, size: Size) -> Figure:
    """Deeper blue for a higher mean, with its level on the line; a ring around the best trial."""
    wide, panels = size.name == "wide", len(data.surfaces)
    columns = panels if wide else 1
    rows = -(-panels // columns)
    figure, all_axes = canvas(size, 330 if wide else 270 * rows + 20, rows, columns)
    lowest = min(float(np.nanmin(surface.mean)) for surface in data.surfaces)
    highest = max(float(np.nanmax(surface.mean)) for surface in data.surfaces)
    levels = np.linspace(lowest, highest if highest > lowest else lowest + 1e-9, LEVELS + 1)
    for axes, surface in zip(all_axes, data.surfaces, strict=True):
        _panel(axes, surface, levels, data, size)
    return figure


def _panel(axes: Axes, surface: Surface, levels: np.ndarray, data: Contours, size: Size) -> None:
    knob_axis(axes, surface.x)
    knob_axis(axes, surface.y, "y")
    grid = (surface.x_grid, surface.y_grid)
    for step in range(LEVELS):
        band = levels[step : step + 2] if step < LEVELS - 1 else [levels[step], np.inf]
        axes.contourf(*grid, surface.mean, levels=band, colors=[BLUE], alpha=0.08 + 0.62 * step / (LEVELS - 1))
    inner = axes.contour(*grid, surface.mean, levels=levels[1:-1], colors=[MUTED], linewidths=0.6)
    axes.clabel(
        inner, fmt=FuncFormatter(lambda value, _: _level(value, data.metric)), fontsize=size.text - 3, colors=INK
    )
    axes.scatter(surface.x.positions, surface.y.positions, s=9, color=INK, alpha=0.7, linewidth=0, zorder=3)
    best = surface.x.positions[data.best], surface.y.positions[data.best]
    axes.scatter([best[0]], [best[1]], s=130, facecolor="none", edgecolor=INK, linewidth=1.6, zorder=4)
    axes.set_xlim(surface.x_grid[0], surface.x_grid[-1])
    axes.set_ylim(surface.y_grid[0], surface.y_grid[-1])
    axes.grid(False)
    axes.set_xlabel(knob_words(surface.x.knob))
    axes.set_ylabel(knob_words(surface.y.knob))


def _level(value: float, metric: str) -> str:
    return percent(value, 0) if is_share(metric) else significant(value, 2)
