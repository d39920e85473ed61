"""Optimisation history: what each trial reached, and the best so far."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render import svg
from analysis.render.section import Section
from analysis.render.svg import Picture, Size
from analysis.render.wording import drawn_note, metric_words, plural, score
from analysis.report.sections import SWEEP


class History(NamedTuple):
    """Rows of the trials frame in their order: those drawn, and the improvements; `total` counts all trials."""

    metric: str
    drawn: pd.DataFrame
    best: pd.DataFrame
    total: int


def section(data: ReportData) -> Section | None:
    """The history; None before a trial has a value."""
    if not data.frames.trials["value"].notna().any():
        return None
    found = history(data.frames.trials, data.metric, data.mode)
    note = f"Trials in the order in which they were suggested. {drawn_note(len(found.drawn), found.total, 'trial')}"
    return Section(SWEEP, (Picture("history", "What each trial reached", describe(found), partial(draw, found), note),))


def history(trials: pd.DataFrame, metric: str, mode: str) -> History:
    """Compute the history from the trials frame; `mode` is "max" or "min"."""
    ordered = trials.sort_values("trial").reset_index(drop=True)
    values = ordered["value"].to_numpy(float)
    # Where the running best rises; the maximum takes no NaN.
    best = np.fmax.accumulate(np.append(-np.inf, values if mode == "max" else -values))
    better = np.flatnonzero(best[1:] > best[:-1]).tolist()
    drawn = ordered.iloc[svg.thin(len(ordered), svg.DRAWN, keep=better)]
    return History(metric, drawn, ordered.iloc[better], len(ordered))


def describe(data: History) -> str:
    """The picture in words."""
    first, last = data.best.iloc[0], data.best.iloc[-1]
    drawn, pruned = plural(len(data.drawn), "trial"), int((data.drawn["state"] == "pruned").sum())
    return (
        f"Dots for {drawn} of {data.total}, {pruned} of them stopped early. The best {metric_words(data.metric)} so "
        f"far goes from {score(first['value'], data.metric)} in trial {first['trial']} to "
        f"{score(last['value'], data.metric)} in trial {last['trial']}."
    )


def draw(data: History, size: Size) -> Figure:
    """Dots by how the trial ended, and a step line for the best so far."""
    figure, (axes,) = svg.canvas(size, 340 if size.wide else 290)
    trials, values, kinds = (data.drawn[name].to_numpy() for name in ("trial", "value", "state"))
    best_trials, best_values = data.best["trial"].tolist(), data.best["value"].tolist()
    steps = ([*best_trials, trials.max()], [*best_values, best_values[-1]])
    axes.step(*steps, where="post", color=svg.GREEN, linewidth=2, label="best so far", zorder=2)
    styles: dict[str, dict[str, Any]] = {
        "complete": {"marker": "o", "color": svg.BLUE, "label": "trained to its end"},
        "pruned": {"marker": "x", "linewidth": 1.6, "color": svg.VERMILION, "label": "stopped early"},
        "running": {"marker": "o", "facecolor": "none", "edgecolor": svg.MUTED, "label": "not finished"},
    }
    for kind, style in styles.items():
        chosen = (kinds == kind) & np.isfinite(values)
        svg.dots(axes, trials[chosen], values[chosen], s=44, zorder=3, **style)
    # A failed trial has no value to stand at: it is marked on the floor, and so is one that diverged or costs too much.
    failed, floor = trials[np.isin(kinds, ["failed", "diverged", "infeasible"])], axes.get_xaxis_transform()
    svg.dots(
        axes, failed, np.full(len(failed), 0.02), transform=floor, marker="s", s=34, color=svg.FAINT, label="failed"
    )
    axes.scatter(best_trials[-1:], best_values[-1:], s=190, facecolor="none", edgecolor=svg.INK, label="best")
    svg.scale_for(axes, data.metric)
    svg.whole_ticks(axes)
    axes.set_xlabel("trial")
    axes.set_ylabel(metric_words(data.metric))
    svg.legend(figure, axes, size, columns=6)
    return figure
