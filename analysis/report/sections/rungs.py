"""Rungs: where ASHA compared the trials, and which it stopped."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render import svg
from analysis.render.section import Section
from analysis.render.svg import Picture, Size
from analysis.render.wording import drawn_note, metric_words, plural
from analysis.report.sections import SWEEP
from search.config.registry import STOP_RULES

DRAWN = 240  # trials a rung


class Rung(NamedTuple):
    """One comparison after `epoch` (from 1): the trials that reached it, by number.

    Columns: value (best objective up to that epoch), stopped, cutoff (what a stopped trial had to reach, else NaN).
    """

    epoch: int
    trials: pd.DataFrame

    @property
    def went_on(self) -> int:
        """How many trials were let on."""
        return int((~self.trials["stopped"]).sum())


def section(data: ReportData) -> Section | None:
    """A panel per rung; None before a trial has reached one."""
    planned = planned_rungs(data.experiment.sweep, data.max_epochs)
    found = rungs(data.frames.trials, data.frames.epochs, data.metric, data.mode, planned)
    if not found:
        return None
    reached = max(len(rung.trials) for rung in found)
    cost = " and cost no more" if len(data.front) else ""
    note = (
        f"At each rung a trial goes on if its best score so far is among the best of those that came before it{cost}; "
        f"a dash shows what a stopped trial had to reach. {describe(found)} "
        f"{drawn_note(min(reached, DRAWN), reached, 'trial')}"
    )
    return Section(
        SWEEP, (Picture("rungs", "Who was stopped where", describe(found), partial(draw, found, data.metric), note),)
    )


def planned_rungs(sweep: Mapping[str, Any], max_epochs: int) -> list[int]:
    """Epochs at which the sweep file has trials compared: grace_epochs times the powers of reduction_factor.

    Rungs that stopped no trial leave no record in the study, but belong in the picture.
    """
    settings = sweep.get("early_stopping") or {}
    rule = STOP_RULES.get(settings.get("kind", "asha"))
    grace, factor = settings.get("grace_epochs", 1), settings.get("reduction_factor", 3.0)
    return rule.rungs(grace, factor, max_epochs) if rule is not None else []


def rungs(trials: pd.DataFrame, epochs: pd.DataFrame, metric: str, mode: str, planned: Sequence[int]) -> list[Rung]:
    """The rungs that a trial reached, lowest first: the `planned` epochs, and those of the trials' stop records."""
    if metric not in epochs:
        return []
    stops = trials.dropna(subset=["stop_rung"]).set_index("trial")
    found = []
    for epoch in sorted({*planned, *stops["stop_rung"].astype(int)}):
        reached = epochs.loc[epochs["epoch"] >= epoch, "trial"].unique()
        so_far = epochs[(epochs["epoch"] <= epoch) & epochs["trial"].isin(reached)].groupby("trial")[metric].agg(mode)
        here = stops.loc[stops["stop_rung"] == epoch, "stop_cutoff"].reindex(so_far.index)
        stopped = so_far.index.isin(stops.index[stops["stop_rung"] == epoch])
        found.append(Rung(epoch, pd.DataFrame({"value": so_far, "stopped": stopped, "cutoff": here})))
    return [rung for rung in found if len(rung.trials)]


def describe(data: Sequence[Rung]) -> str:
    """The picture in words."""
    return " ".join(
        f"After epoch {rung.epoch}, {plural(len(rung.trials), 'trial')} were compared: "
        f"{len(rung.trials) - rung.went_on} stopped, {rung.went_on} went on."
        for rung in data
    )


def draw(data: Sequence[Rung], metric: str, size: Size) -> Figure:
    """Panels side by side with one scale, so that a rung can be held against the next."""
    columns, row, more = (len(data), 380, 0) if size.wide else (2, 210, 70)
    figure, panels = svg.grid(size, len(data), columns, row, more, metric_words(metric), sharex=True)
    for axes, rung in zip(panels, data, strict=True):
        shown = rung.trials.iloc[svg.thin(len(rung.trials), DRAWN)]
        values, cutoffs = shown["value"].to_numpy(float), shown["cutoff"].to_numpy(float)
        trials, out = shown.index.to_numpy(float), shown["stopped"].to_numpy(bool)
        axes.vlines(trials[out], values[out], cutoffs[out], color=svg.GRID, linewidth=1.2, zorder=1)
        axes.scatter(trials[~out], values[~out], s=34, color=svg.BLUE, label="went on", zorder=3)
        axes.scatter(trials[out], values[out], s=34, marker="x", color=svg.VERMILION, label="stopped", zorder=3)
        axes.scatter(trials[out], cutoffs[out], s=60, marker="_", color=svg.INK, label="had to reach", zorder=2)
        axes.set_title(plural(rung.epoch, "epoch"))
        axes.set_xlabel(f"{rung.went_on} of {len(rung.trials)} went on")
        svg.whole_ticks(axes, 4)
        svg.scale_for(axes, metric)
    figure.supxlabel("trial", fontsize=size.text, color=svg.MUTED)
    svg.legend(figure, panels[0], size)
    return figure
