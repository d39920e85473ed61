"""Rungs: where ASHA compared the trials, and which it stopped."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.data.report_data import ReportData
from analysis.render.section import Section
from analysis.render.svg import BLUE, GRID, INK, MUTED, VERMILION, Picture, Size, grid, legend, scale_for, thin
from analysis.render.wording import drawn_note, metric_words, plural
from analysis.report.sections import SWEEP
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


def section(data: ReportData) -> Section | None:
    """A panel per rung; None before a trial has reached one."""
    planned = planned_rungs(data.experiment.sweep, data.max_epochs)
    found = rungs(data.frames.trials, data.frames.epochs, data.metric, data.mode, planned)
    if not found.rungs:
        return None
    reached = max(len(rung.trials) for rung in found.rungs)
    cost = " and cost no more" if len(data.front) else ""
    note = (
        f"At each rung a trial goes on if its best score so far is among the best of those that came before it{cost}; "
        f"a dash shows what a stopped trial had to reach. {describe(found)} "
        f"{drawn_note(min(reached, DRAWN), reached, 'trial')}"
    )
    return Section(SWEEP, (Picture("rungs", "Who was stopped where", describe(found), partial(draw, found), note),))


def planned_rungs(sweep: Mapping[str, Any], max_epochs: int) -> list[int]:
    """Epochs at which the sweep file has trials compared: grace_epochs times the powers of reduction_factor.

    Rungs that stopped no trial leave no record in the study, but belong in the picture.
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
    found = []
    for epoch in sorted({*planned, *stops["stop_rung"].astype(int)}):
        reached = epochs.loc[epochs["epoch"] >= epoch, "trial"].unique()
        so_far = epochs[(epochs["epoch"] <= epoch) & epochs["trial"].isin(reached)].groupby("trial")[metric].agg(mode)
        cutoffs = stops.loc[stops["stop_rung"] == epoch, "stop_cutoff"].to_dict()
        numbers = [int(str(number)) for number in so_far.index]
        found.append(
            Rung(
                epoch,
                tuple(numbers),
                tuple(float(value) for value in so_far),
                tuple(number in cutoffs for number in numbers),
                tuple(float(cutoffs.get(number, np.nan)) for number in numbers),
            )
        )
    return Rungs(metric, tuple(rung for rung in found if rung.trials))


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
    columns, row, more = (len(data.rungs), 380, 0) if size.wide else (2, 210, 70)
    figure, panels = grid(size, len(data.rungs), columns, row, more, metric_words(data.metric), sharex=True)
    for axes, rung in zip(panels, data.rungs, strict=True):
        shown = thin(len(rung.trials), DRAWN)
        trials, values, cutoffs = (np.array(each, float)[shown] for each in (rung.trials, rung.values, rung.cutoffs))
        out = np.array(rung.stopped, bool)[shown]
        axes.vlines(trials[out], values[out], cutoffs[out], color=GRID, linewidth=1.2, zorder=1)
        axes.scatter(trials[~out], values[~out], s=34, color=BLUE, label="went on", zorder=3)
        axes.scatter(trials[out], values[out], s=34, marker="x", color=VERMILION, label="stopped", zorder=3)
        axes.scatter(trials[out], cutoffs[out], s=60, marker="_", color=INK, label="had to reach", zorder=2)
        axes.set_title(plural(rung.epoch, "epoch"))
        axes.set_xlabel(f"{rung.went_on} of {len(rung.trials)} went on")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        scale_for(axes, data.metric)
    figure.supxlabel("trial", fontsize=size.text, color=MUTED)
    legend(figure, panels[0], size)
    return figure
