"""The front: the trials that no other beats at a cost no higher, where a sweep weighed its score against a cost."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from analysis.data.report_data import Findings
from analysis.render.svg import (
    BLUE,
    DRAWN,
    GREEN,
    INK,
    VERMILION,
    Picture,
    Size,
    canvas,
    legend,
    picture,
    scale_for,
    thin,
)
from analysis.render.table import Head, Line, Table
from analysis.render.wording import (
    UNITS,
    cost_words,
    count,
    drawn_note,
    knob_words,
    metric_words,
    plural,
    score,
    sentence_case,
    setting,
)

_DECADE = 10  # Costs that differ by more than this factor are drawn on a logarithmic scale.


class Front(NamedTuple):
    """A point per drawn trial with a value: what it reached and what its model costs; `kinds` as in the trials frame.

    `members` are the places of the front's trials, the cheapest first; `total` counts all trials with a value.
    """

    metric: str
    cost: str
    trials: tuple[int, ...]
    values: tuple[float, ...]
    costs: tuple[float, ...]
    kinds: tuple[str, ...]
    members: tuple[int, ...]
    total: int


def front(trials: pd.DataFrame, metric: str, cost: str) -> Front:
    """Compute it from the trials frame, whose columns `front` and the one named by `cost` say what the sweep found."""
    known = trials.dropna(subset=["value", cost]).sort_values([cost, "trial"]).reset_index(drop=True)
    on_it = np.flatnonzero(known["front"].to_numpy(bool)).tolist()
    drawn = thin(len(known), DRAWN, keep=on_it)
    shown = known.iloc[drawn]
    return Front(
        metric,
        cost,
        tuple(int(number) for number in shown["trial"]),
        tuple(float(value) for value in shown["value"]),
        tuple(float(value) for value in shown[cost]),
        tuple(str(state) for state in shown["state"]),
        tuple(drawn.index(place) for place in on_it),
        len(known),
    )


def front_picture(data: Front) -> Picture:
    """The drawing, with its description in words."""
    title = sentence_case(f"{metric_words(data.metric)} against {metric_words(data.cost)}")
    note = drawn_note(len(data.trials), data.total, "trial")
    return picture("front", title, describe(data), lambda size: draw(data, size), note)


def describe(data: Front) -> str:
    """The picture in words, for those who cannot see it."""
    members = [(data.trials[place], data.values[place], data.costs[place]) for place in data.members]
    told = [
        f"trial {trial} {score(value, data.metric)} at {cost_words(cost, data.cost)}" for trial, value, cost in members
    ]
    return (
        f"Dots for {plural(len(data.trials), 'trial')}, at what each reached and what its model costs. A step line "
        f"joins the {count(len(told))} of the front, the cheapest first: {'; '.join(told)}."
    )


def draw(data: Front, size: Size) -> Figure:
    """Dots by how the trial ended, and a step line through the front: what can be had for so much."""
    figure, (axes,) = canvas(size, 340 if size.name == "wide" else 300)
    x, y = np.array(data.costs), np.array(data.values)
    members = list(data.members)
    if members:
        # Whoever may spend more than the dearest of the front still has that one.
        steps = ([*x[members], x.max()], [*y[members], y[members[-1]]])
        axes.step(*steps, where="post", color=GREEN, linewidth=2, label="front", zorder=2)
    stopped = np.array([kind == "pruned" for kind in data.kinds], bool)
    _dots(axes, x[~stopped], y[~stopped], marker="o", s=44, color=BLUE, label="not stopped")
    _dots(axes, x[stopped], y[stopped], marker="x", s=44, linewidth=1.6, color=VERMILION, label="stopped early")
    _dots(axes, x[members], y[members], s=150, facecolor="none", edgecolor=INK, label="on the front")
    for place in members:
        axes.annotate(str(data.trials[place]), (x[place], y[place]), (9, 5), textcoords="offset points", color=INK)
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


def _dots(axes: Axes, x: np.ndarray, y: np.ndarray, **style: Any) -> None:
    if len(x):
        axes.scatter(x, y, zorder=3, **style)


def front_table(findings: Findings) -> Table | None:
    """The front's trials, best first; None where the sweep weighed no cost, or nothing has a result yet."""
    cost, trials = findings.experiment.cost, findings.frames.trials
    if cost is None or not trials["front"].any():
        return None
    knobs = [name for name in map(str, trials) if name.startswith("param_")]
    heads = (
        Head("trial", "num"),
        Head(metric_words(findings.metric), "num"),
        Head("in epoch", "num"),
        Head(metric_words(cost), "num"),
        *(Head(knob_words(knob), "num") for knob in knobs),
    )
    members = findings.ranked[findings.ranked["front"]].to_dict("records")
    rows = tuple(_line(row, knobs, findings.metric, cost, findings.best) for row in members)
    return Table("The front, best first", heads, rows, "The highlighted trial is the one in best.json.")


def _line(row: dict[Any, Any], knobs: Sequence[str], metric: str, cost: str, best: int | None) -> Line:
    cells = (
        str(row["trial"]),
        score(row["value"], metric),
        count(row["best_epoch"]),
        cost_words(row[cost], cost),
        *(setting(row[knob]) for knob in knobs),
    )
    return Line(cells, bool(row["trial"] == best))


def front_sentence(findings: Findings) -> str:
    """What a smaller or faster model would give up; "" where the sweep weighed no cost."""
    cost = findings.experiment.cost
    if cost is None or findings.best is None:
        return ""
    members = findings.ranked[findings.ranked["front"]]
    if len(members) < 2:
        return f"No other trial's model has a lower {metric_words(cost)} without a worse score." if len(members) else ""
    best, cheapest = members.iloc[0], members.iloc[-1]
    return (
        f"Weighed against {metric_words(cost)}, {count(len(members))} trials are beaten by none: from trial "
        f"{best['trial']}, {score(best['value'], findings.metric)} at {cost_words(best[cost], cost)}, to trial "
        f"{cheapest['trial']}, {score(cheapest['value'], findings.metric)} at {cost_words(cheapest[cost], cost)}."
    )
