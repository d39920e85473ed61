"""Rungs: at which epochs ASHA compared the trials, who went on and who was stopped, and why."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.render.svg import (
    BLUE,
    GRID,
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
)
from analysis.render.wording import drawn_note, metric_words, plural
from search.config.registry import STOP_RULES

DRAWN = 240  # trials a rung


class Rung(NamedTuple):
    """One comparison. `epoch` is 1-based; the other fields hold the trials that reached it, in trial order.

    `values` are each trial's best objective up to that epoch; `cutoffs` is what a stopped trial had to reach, NaN for
    those that went on.
    """

    epoch: int
    trials: tuple[int, ...]
    values: tuple[float, ...]
    stopped: tuple[bool, ...]
    cutoffs: tuple[float, ...]

    @property
    def went_on(self) -> int:
        """How many trials were let on."""
        return len(self.trials) - sum(self.stopped)


class Rungs(NamedTuple):
    """All rungs that a trial reached, lowest first."""

    metric: str
    rungs: tuple[Rung, ...]


def planned_rungs(sweep: Mapping[str, Any], max_epochs: int) -> list[int]:
    """Epochs at which the sweep file has trials compared: grace_epochs times the powers of reduction_factor.

    Rungs at which nobody was stopped leave no record in the study, but belong in the picture.
    """
    settings = sweep.get("early_stopping") or {}
    rule = STOP_RULES.get(settings.get("kind", "asha"))
    grace, factor = settings.get("grace_epochs", 1), settings.get("reduction_factor", 3.0)
    return rule.rungs(grace, factor, max_epochs) if rule is not None else []


def rungs(trials: pd.DataFrame, epochs: pd.DataFrame, metric: str, mode: str, planned: Sequence[int]) -> Rungs:
    """Compute the rungs: the `planned` epochs of comparison, and those found in the trials' stop records."""
    if metric not in epochs:
        return Rungs(metric, ())
    stops = trials.dropna(subset=["stop_rung"]).set_index("trial")
    known = sorted({*planned, *stops["stop_rung"].astype(int)})
    found = [_rung(epoch, epochs, stops, metric, mode) for epoch in known]
    return Rungs(metric, tuple(rung for rung in found if rung.trials))


def _rung(epoch: int, epochs: pd.DataFrame, stops: pd.DataFrame, metric: str, mode: str) -> Rung:
    reached = epochs.loc[epochs["epoch"] >= epoch, "trial"].unique()
    so_far = epochs[(epochs["epoch"] <= epoch) & epochs["trial"].isin(reached)].groupby("trial")[metric].agg(mode)
    cutoffs = stops.loc[stops["stop_rung"] == epoch, "stop_cutoff"].to_dict()
    numbers = [int(str(number)) for number in so_far.index]
    return Rung(
        epoch,
        tuple(numbers),
        tuple(float(value) for value in so_far),
        tuple(number in cutoffs for number in numbers),
        tuple(float(cutoffs.get(number, np.nan)) for number in numbers),
    )


def rungs_picture(data: Rungs) -> Picture:
    """A panel per rung."""
    reached = max(len(rung.trials) for rung in data.rungs)
    note = f"{describe(data)} {drawn_note(min(reached, DRAWN), reached, 'trial')}".strip()
    return picture("rungs", "Who was stopped where", describe(data), lambda size: draw(data, size), note)


def describe(data: Rungs) -> str:
    """The picture in words."""
    parts = [
        f"After epoch {rung.epoch}, {plural(len(rung.trials), 'trial')} were compared: {sum(rung.stopped)} stopped, "
        f"{rung.went_on} went on."
        for rung in data.rungs
    ]
    return " ".join(parts) or "No trial has reached a rung yet."


def draw(data: Rungs, size: Size) -> Figure:
    """Panels side by side with one scale, so that a rung can be held against the next."""
    wide = size.name == "wide"
    columns = max(1, len(data.rungs) if wide else min(2, len(data.rungs)))
    rows = -(-max(1, len(data.rungs)) // columns)
    figure, panels = canvas(size, 380 if wide else 210 * rows + 70, rows, columns, sharey=True, sharex=True)
    for axes, rung in zip(panels, data.rungs, strict=False):
        _panel(axes, rung, data.metric)
    for axes in panels[len(data.rungs) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel(metric_words(data.metric) if wide else "")
    figure.supxlabel("trial", fontsize=size.text, color=MUTED)
    legend(figure, panels[0], size)
    return figure


def _panel(axes: Axes, rung: Rung, metric: str) -> None:
    shown = thin(len(rung.trials), DRAWN)
    trials, values, cutoffs = (np.array(column, float)[shown] for column in (rung.trials, rung.values, rung.cutoffs))
    stopped = np.array(rung.stopped, bool)[shown]
    axes.vlines(trials[stopped], values[stopped], cutoffs[stopped], color=GRID, linewidth=1.2, zorder=1)
    axes.scatter(trials[~stopped], values[~stopped], s=34, color=BLUE, label="went on", zorder=3)
    axes.scatter(trials[stopped], values[stopped], s=34, marker="x", color=VERMILION, label="stopped", zorder=3)
    axes.scatter(trials[stopped], cutoffs[stopped], s=60, marker="_", color=INK, label="had to reach", zorder=2)
    unit = "epoch" if rung.epoch == 1 else "epochs"
    axes.set_title(f"{rung.epoch} {unit}")
    axes.set_xlabel(f"{rung.went_on} of {len(rung.trials)} went on")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    scale_for(axes, metric)
