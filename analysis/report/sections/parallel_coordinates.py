"""Parallel coordinates: a line per trial over all knobs and the objective."""

from collections.abc import Collection
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render import wording
from analysis.render.knob_axis import KnobValues, knob_values, log_knobs, varied
from analysis.render.section import Section
from analysis.render.svg import BLUE, FAINT, INK, MUTED, PAPER, Picture, Size, canvas, thin
from analysis.report.sections import SETTINGS

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


def section(data: ReportData) -> Section | None:
    """A line for each trial; None where there is nothing to compare."""
    found = coordinates(data.frames.trials, data.metric, data.mode, log_knobs(data.experiment.sweep["space"]))
    if found is None:
        return None
    note = (
        "A line for each trial, through its settings to what it reached. The thickest is the best trial; the best "
        f"tenth is blue. {describe(found)} {wording.drawn_note(len(found.axes[-1].positions), found.total, 'trial')}"
    )
    picture = Picture("coordinates", "All settings at once", describe(found), partial(draw, found), note)
    return Section(SETTINGS, (picture,))


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


def describe(data: Coordinates) -> str:
    """Where the best trials lie on each knob's axis, in words."""
    parts = []
    for axis in data.axes[:-1]:
        own = axis.positions[: data.top]
        if axis.categories:
            seen = [word for place, word in enumerate(axis.categories) if place in own]
            parts.append(f"{wording.knob_words(axis.knob)} {' or '.join(seen)}")
        elif min(own) == max(own):
            parts.append(f"{wording.knob_words(axis.knob)} {wording.setting(own[0])}")
        else:
            parts.append(f"{wording.knob_words(axis.knob)} {wording.setting(min(own))} to {wording.setting(max(own))}")
    best = (
        "The best trial has" if data.top == 1 else f"The best {data.top} of {wording.plural(data.total, 'trial')} have"
    )
    return f"{best} {'; '.join(parts)}."


def draw(data: Coordinates, size: Size) -> Figure:
    """Axes side by side on a wide page; on a phone they lie one below the other, and the lines run down."""
    wide, last = size.wide, len(data.axes) - 1
    figure, (axes,) = canvas(size, 380 if wide else 74 * len(data.axes) + 50)
    places = np.arange(len(data.axes), dtype=float)
    heights = np.stack([axis.scaled(np.array(axis.positions)) for axis in data.axes], axis=1)
    for lines, colour, width, alpha, order in (
        (heights[data.top :], FAINT, 0.9, 0.55, 1),
        (heights[1 : data.top], BLUE, 1.4, 0.85, 2),
        (heights[:1], INK, 2.4, 1.0, 3),
    ):
        paths = [np.stack([places, line] if wide else [line, -places], axis=1) for line in lines]
        axes.add_collection(LineCollection(paths, colors=colour, linewidths=width, alpha=alpha, zorder=order))
    for place, axis in enumerate(data.axes):
        name = (
            wording.sentence_case(wording.metric_words(data.metric)) if place == last else wording.knob_words(axis.knob)
        )
        _rule(axes, place, axis, name, wide)
    axes.set_axis_off()
    axes.set_xlim(*((-0.35, last + 0.45) if wide else (-0.08, 1.1)))
    axes.set_ylim(*((-0.06, 1.2) if wide else (-last - 0.4, 0.55)))
    return figure


def _rule(axes: Axes, place: int, axis: KnobValues, name: str, wide: bool) -> None:
    """One axis: its line, its name, and the values at its ends (or all of its categories)."""
    ends = ((place, place), (0, 1)) if wide else ((0, 1), (-place, -place))
    axes.plot(*ends, color=MUTED, linewidth=1, zorder=4)
    spot: tuple[float, float] = (place, 1.1) if wide else (0, -place + 0.3)
    axes.text(*spot, name, ha="center" if wide else "left", weight="bold")
    words = wording.percent if wording.is_share(axis.knob) else wording.significant
    ticks: list[tuple[float, str]] = [*enumerate(axis.categories)] or [(end, words(end)) for end in axis.span]
    plain = {"boxstyle": "square,pad=0.12", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8}
    style: dict[str, Any] = {"va": "center"} if wide else {"va": "top", "ha": "center"}
    for value, word in ticks:
        even = float(axis.scaled(np.array(value, float)))
        spot = (place + 0.03, even) if wide else (even, -place - 0.12)
        axes.text(*spot, word, color=INK, zorder=5, bbox=plain, **style)
