"""Optimisation history: what each trial reached, and the best so far."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.render.svg import (
    BLUE,
    DRAWN,
    FAINT,
    GREEN,
    INK,
    MUTED,
    VERMILION,
    Picture,
    Size,
    canvas,
    legend,
    picture,
    scale_for,
    thin,
    whole_ticks,
)
from analysis.render.wording import drawn_note, metric_words, plural, score


class History(NamedTuple):
    """A point per drawn trial; `kinds` are "complete", "pruned", "running" or "failed" (with value NaN).

    `best_trials` and `best_values` are the improvements, in trial order; `total` counts all trials of the sweep.
    """

    metric: str
    trials: tuple[int, ...]
    values: tuple[float, ...]
    kinds: tuple[str, ...]
    best_trials: tuple[int, ...]
    best_values: tuple[float, ...]
    total: int


def history(trials: pd.DataFrame, metric: str, mode: str) -> History:
    """Compute the history from the trials frame; `mode` is "max" or "min"."""
    ordered = trials.sort_values("trial").reset_index(drop=True)
    values = ordered["value"].to_numpy(float)
    better = _improvements(values if mode == "max" else -values)
    drawn = thin(len(ordered), DRAWN, keep=better)
    return History(
        metric,
        tuple(int(number) for number in ordered["trial"].iloc[drawn]),
        tuple(float(value) for value in values[drawn]),
        tuple(str(state) for state in ordered["state"].iloc[drawn]),
        tuple(int(number) for number in ordered["trial"].iloc[better]),
        tuple(float(value) for value in values[better]),
        len(ordered),
    )


def _improvements(values: np.ndarray) -> list[int]:
    """Positions at which the running maximum rises; NaN never does."""
    found, best = [], -np.inf
    for position, value in enumerate(values):
        if value > best:
            found.append(position)
            best = value
    return found


def history_picture(data: History) -> Picture:
    """The drawing, with its description in words."""
    note = drawn_note(len(data.trials), data.total, "trial")
    return picture("history", "What each trial reached", describe(data), lambda size: draw(data, size), note)


def describe(data: History) -> str:
    """The picture in words, for those who cannot see it."""
    if not data.best_values:
        return "No trial has a value yet."
    first, last = (score(data.best_values[end], data.metric) for end in (0, -1))
    dots, pruned = plural(len(data.trials), "trial"), data.kinds.count("pruned")
    return (
        f"Dots for {dots} of {data.total}, {pruned} of them stopped early. The best {metric_words(data.metric)} so far "
        f"goes from {first} in trial {data.best_trials[0]} to {last} in trial {data.best_trials[-1]}."
    )


def draw(data: History, size: Size) -> Figure:
    """Dots by how the trial ended, and a step line for the best so far."""
    figure, (axes,) = canvas(size, 340 if size.name == "wide" else 290)
    last = max(data.trials, default=0)
    if data.best_trials:
        steps = ([*data.best_trials, last], [*data.best_values, data.best_values[-1]])
        axes.step(*steps, where="post", color=GREEN, linewidth=2, label="best so far", zorder=2)
    _dots(axes, data, "complete", marker="o", s=44, color=BLUE, label="trained to its end")
    _dots(axes, data, "pruned", marker="x", s=44, linewidth=1.6, color=VERMILION, label="stopped early")
    _dots(axes, data, "running", marker="o", s=44, facecolor="none", edgecolor=MUTED, label="not finished")
    _failed(axes, data)
    if data.best_trials:
        axes.scatter(data.best_trials[-1:], data.best_values[-1:], s=190, facecolor="none", edgecolor=INK, label="best")
    scale_for(axes, data.metric)
    whole_ticks(axes)
    axes.set_xlabel("trial")
    axes.set_ylabel(metric_words(data.metric))
    legend(figure, axes, size, columns=6)
    return figure


def _dots(axes: Axes, data: History, kind: str, **style: Any) -> None:
    chosen = [index for index, each in enumerate(data.kinds) if each == kind and np.isfinite(data.values[index])]
    if chosen:
        x, y = [data.trials[index] for index in chosen], [data.values[index] for index in chosen]
        axes.scatter(x, y, zorder=3, **style)


def _failed(axes: Axes, data: History) -> None:
    """A failed trial has no value to stand at: it is marked on the floor."""
    failed = [trial for trial, kind in zip(data.trials, data.kinds, strict=True) if kind == "failed"]
    if failed:
        floor = axes.get_xaxis_transform()
        axes.scatter(failed, [0.02] * len(failed), transform=floor, marker="s", s=34, color=FAINT, label="failed")
