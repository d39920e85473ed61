"""Learning curves: of the trials, and training against validation."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render import svg
from analysis.render.section import Section
from analysis.render.svg import Picture, Size
from analysis.render.wording import drawn_note, metric_words, plural, score, sentence_case
from analysis.report.sections import SWEEP

HIGHLIGHTED = 5
DRAWN = 150  # lines in the background; more are a grey block
STAGES = {"before": svg.ORANGE, "after": svg.BLUE}


class Curve(NamedTuple):
    """One trial's metric over its epochs (1-based); `rank` is 1 for the best trial, 0 in the background."""

    trial: int
    rank: int
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    stopped: bool


class Curves(NamedTuple):
    """The curves drawn, background first and the best last; `total` counts all trials with an epoch."""

    metric: str
    curves: tuple[Curve, ...]
    total: int


def section(data: ReportData) -> Section | None:
    """All trials' curves, and the best trial's training beside its validation; None before the first epoch."""
    trials, epochs = data.frames.trials, data.frames.epochs
    found, parts = learning_curves(trials, epochs, data.metric, data.mode), []
    if found.curves:
        title = sentence_case(f"{metric_words(data.metric)} by epoch")
        note = (
            "The five best trials in colour, the others in grey; a cross where a trial was stopped. "
            f"{drawn_note(len(found.curves), found.total, 'trial')}"
        )
        parts.append(Picture("curves", title, describe(found), partial(draw, found), note))
    own = epochs[epochs["trial"] == data.best]
    if len(own):
        title = f"The best trial, {data.best}: training and validation"
        note = "A wide gap between training and validation means that the model learns the training photos by heart."
        parts.append(stages_picture("best-trial", title, own, note))
    return Section(SWEEP, tuple(parts)) if parts else None


def learning_curves(trials: pd.DataFrame, epochs: pd.DataFrame, metric: str, mode: str) -> Curves:
    """Choose the best trials and an even spread of the others."""
    order = trials.dropna(subset=["value"]).sort_values("value", ascending=mode == "min")["trial"]
    rank = {int(trial): place for place, trial in enumerate(order.head(HIGHLIGHTED), start=1)}
    stopped = set(trials.loc[trials["state"] == "pruned", "trial"])
    groups = [(int(str(trial)), rows) for trial, rows in epochs.groupby("trial")] if metric in epochs else []
    keep = [position for position, (trial, _) in enumerate(groups) if trial in rank]
    curves = []
    for trial, rows in (groups[position] for position in svg.thin(len(groups), DRAWN, keep)):
        by_epoch = rows.sort_values("epoch")
        own = tuple(int(epoch) for epoch in by_epoch["epoch"])
        values = tuple(float(value) for value in by_epoch[metric])
        curves.append(Curve(trial, rank.get(trial, 0), own, values, trial in stopped))
    return Curves(metric, tuple(sorted(curves, key=lambda curve: -curve.rank if curve.rank else -99)), len(groups))


def describe(data: Curves) -> str:
    """The picture in words."""
    best = [curve for curve in data.curves if curve.rank == 1]
    if not best:
        return "No trial has finished an epoch with a value yet."
    first, last = best[0].values[0], best[0].values[-1]
    stopped = sum(curve.stopped for curve in data.curves)
    return (
        f"Lines for {plural(len(data.curves), 'trial')} of {data.total}, {stopped} of them ending early with a cross. "
        f"The best, trial {best[0].trial}, goes from {score(first, data.metric)} in its first epoch to "
        f"{score(last, data.metric)} in epoch {best[0].epochs[-1]}."
    )


def draw(data: Curves, size: Size) -> Figure:
    """Grey lines for the many, coloured ones with different dashes for the best."""
    figure, (axes,) = svg.canvas(size, 400 if size.wide else 360)
    crossed = False
    for curve in data.curves:
        colour, dashes = svg.STYLES[curve.rank - 1] if curve.rank else (svg.FAINT, "-")
        label = f"{curve.rank}. trial {curve.trial}" if curve.rank else None
        width = 2.2 if curve.rank else 1
        axes.plot(curve.epochs, curve.values, color=colour, linestyle=dashes, linewidth=width, label=label, zorder=2)
        end = (curve.epochs[-1:], curve.values[-1:])
        if curve.stopped:
            cross, label = colour if curve.rank else svg.MUTED, None if crossed else "stopped early"
            axes.scatter(*end, marker="x", s=26, color=cross, label=label, zorder=3)
            crossed = True
        elif len(curve.epochs) == 1:
            axes.scatter(*end, color=colour, s=12, zorder=2)
    svg.scale_for(axes, data.metric)
    svg.whole_ticks(axes)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric_words(data.metric))
    handles, labels = axes.get_legend_handles_labels()
    order = np.argsort([int(label.split(".")[0]) if label[0].isdigit() else 99 for label in labels])
    columns = 6 if size.wide else 2
    figure.legend([handles[i] for i in order], [labels[i] for i in order], loc="outside upper left", ncols=columns)
    return figure


def stage_curves(rows: pd.DataFrame, metric: str) -> dict[str, pd.DataFrame]:
    """`metric` ("macro_f1", "cross_entropy") by stage: columns epoch, train and val.

    `rows` has an `epoch`, `train_<metric>` and `val_<metric>` column and may have `stage` ("before", "after").
    """
    columns = {"epoch": "epoch", f"train_{metric}": "train", f"val_{metric}": "val"}
    if not set(columns) <= set(rows):
        return {}
    staged = rows if "stage" in rows else rows.assign(stage="after")
    found = {stage: staged[staged["stage"] == stage].sort_values("epoch") for stage in STAGES}
    return {stage: own.rename(columns=columns)[[*columns.values()]] for stage, own in found.items() if len(own)}


def stages_picture(name: str, title: str, rows: pd.DataFrame, note: str) -> Picture:
    """Macro F1 and cross-entropy by epoch, training beside validation; `rows` as for `stage_curves`."""
    panels = {metric: stage_curves(rows, metric) for metric in ("macro_f1", "cross_entropy")}
    said = []
    for metric, curves in panels.items():
        for stage, curve in curves.items():
            epoch, train, val = curve.iloc[-1]
            said.append(
                f"{sentence_case(metric_words(metric))} in epoch {epoch:.0f}, {stage} oversampling: training "
                f"{score(train, metric)}, validation {score(val, metric)}."
            )
    return Picture(name, title, " ".join(said), partial(draw_stages, panels), note)


def draw_stages(panels: dict[str, dict[str, pd.DataFrame]], size: Size) -> Figure:
    """Dashed lines for training, full ones for validation, a colour per stage."""
    figure, all_axes = svg.canvas(size, 320 if size.wide else 250 * len(panels), *size.beside(len(panels)))
    single = all(len(curves) < 2 for curves in panels.values())
    for axes, (metric, curves) in zip(all_axes, panels.items(), strict=True):
        for stage, curve in curves.items():
            colour, suffix = STAGES[stage], "" if single else f", {stage}"
            axes.plot(curve["epoch"], curve["val"], color=colour, linewidth=2.2, label=f"validation{suffix}")
            axes.plot(curve["epoch"], curve["train"], color=colour, linestyle="--", label=f"training{suffix}")
        axes.set_title(metric_words(metric) if curves else "")
        svg.scale_for(axes, metric if curves else "")
        svg.whole_ticks(axes)
        axes.set_xlabel("epoch")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4 if size.wide else 1)
    return figure
