"""Parallel coordinates: every trial as a line over all knobs to what it reached."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from analysis.render.knob_axis import KnobValues, knob_values, varied
from analysis.render.svg import BLUE, FAINT, INK, MUTED, PAPER, Picture, Size, canvas, picture, thin
from analysis.render.wording import (
    drawn_note,
    is_share,
    knob_words,
    metric_words,
    percent,
    plural,
    sentence_case,
    setting,
    significant,
)

DRAWN = 200  # lines; more are a block of colour
BEST = 0.1  # the share of the trials that is drawn on top, in colour


class Coordinates(NamedTuple):
    """`axes` are the knobs that differ and, last, the objective; each has a position per drawn trial, best first.

    The first `top` of the drawn trials are the best tenth; `total` counts all trials with a value.
    """

    metric: str
    axes: tuple[KnobValues, ...]
    top: int
    total: int

    @property
    def drawn(self) -> int:
        """How many trials are drawn."""
        return len(self.axes[-1].positions) if self.axes else 0


def coordinates(trials: pd.DataFrame, metric: str, mode: str, log: Collection[str] = ()) -> Coordinates | None:
    """The best tenth of the trials and an even spread of the others; None where there is nothing to compare."""
    names = varied(trials.dropna(subset=["value"]))
    ranked = trials.dropna(subset=["value", *names]).sort_values("value", ascending=mode == "min")
    if len(ranked) < 2 or not names:
        return None
    best = min(max(1, round(BEST * len(ranked))), DRAWN // 4)
    shown = ranked.iloc[thin(len(ranked), DRAWN, keep=range(best))]
    objective = KnobValues(metric, tuple(shown["value"].astype(float)), (), False)
    return Coordinates(metric, (*(knob_values(name, shown[name], log) for name in names), objective), best, len(ranked))


def coordinates_picture(data: Coordinates) -> Picture:
    """The drawing, with its description in words."""
    note = f"{describe(data)} {drawn_note(data.drawn, data.total, 'trial')}".strip()
    return picture("coordinates", "All settings at once", describe(data), lambda size: draw(data, size), note)


def describe(data: Coordinates) -> str:
    """Where the best trials lie on each knob's axis, in words."""
    parts = []
    for axis in data.axes[:-1]:
        own = axis.positions[: data.top]
        if axis.categories:
            seen = [word for place, word in enumerate(axis.categories) if place in own]
            parts.append(f"{knob_words(axis.knob)} {' or '.join(seen)}")
        elif min(own) == max(own):
            parts.append(f"{knob_words(axis.knob)} {setting(own[0])}")
        else:
            parts.append(f"{knob_words(axis.knob)} {setting(min(own))} to {setting(max(own))}")
    best = "The best trial has" if data.top == 1 else f"The best {data.top} of {plural(data.total, 'trial')} have"
    return f"{best} {'; '.join(parts)}."


def draw(data: Coordinates, size: Size) -> Figure:
    """Axes side by side on a wide page; on a phone they lie one below the other, and the lines run down."""
    wide = size.name == "wide"
    figure, (axes,) = canvas(size, 380 if wide else 74 * len(data.axes) + 50)
    heights = np.stack([axis.evenly for axis in data.axes], axis=1)
    for lines, colour, width, alpha, order in (
        (heights[data.top :], FAINT, 0.9, 0.55, 1),
        (heights[1 : data.top], BLUE, 1.4, 0.85, 2),
        (heights[:1], INK, 2.4, 1.0, 3),
    ):
        paths = [_path(line, wide) for line in lines]
        axes.add_collection(LineCollection(paths, colors=colour, linewidths=width, alpha=alpha, zorder=order))
    for place, axis in enumerate(data.axes):
        _rule(axes, place, axis, wide, data.metric)
    axes.set_axis_off()
    _limits(axes, len(data.axes), wide)
    return figure


def _path(line: np.ndarray, wide: bool) -> np.ndarray:
    """Points [axes, 2] of one trial."""
    places = np.arange(len(line), dtype=float)
    return np.stack([places, line] if wide else [line, -places], axis=1)


def _rule(axes: Axes, place: int, axis: KnobValues, wide: bool, metric: str) -> None:
    """One axis: its line, its name, and the values at its ends (or all of its categories)."""
    ends = ((place, place), (0, 1)) if wide else ((0, 1), (-place, -place))
    axes.plot(*ends, color=MUTED, linewidth=1, zorder=4)
    objective = axis.knob == metric
    name = sentence_case(metric_words(metric)) if objective else knob_words(axis.knob)
    spot = (place, 1.1) if wide else (0, -place + 0.3)
    axes.text(*spot, name, ha="center" if wide else "left", weight="bold")
    ticks = list(enumerate(axis.categories)) if axis.categories else [(end, _tick(axis, end)) for end in axis.span]
    low, high = axis.span
    for value, word in ticks:
        even = _even(float(value), low, high, axis.log)
        if wide:
            axes.text(place + 0.03, even, word, va="center", color=INK, zorder=5, bbox=_PLAIN)
        else:
            axes.text(even, -place - 0.12, word, ha="center", va="top", color=INK, zorder=5, bbox=_PLAIN)


_PLAIN = {"boxstyle": "square,pad=0.12", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8}


def _even(value: float, low: float, high: float, log: bool) -> float:
    if log:
        value, low, high = np.log10(value), np.log10(low), np.log10(high)
    return (value - low) / ((high - low) or 1.0)


def _tick(axis: KnobValues, value: float) -> str:
    return percent(value) if is_share(axis.knob) else significant(value)


def _limits(axes: Axes, count: int, wide: bool) -> None:
    if wide:
        axes.set_xlim(-0.35, count - 1 + 0.45)
        axes.set_ylim(-0.06, 1.2)
    else:
        axes.set_xlim(-0.08, 1.1)
        axes.set_ylim(-count + 1 - 0.4, 0.55)
