"""Learning curves: the sweep's trials with the best ones highlighted, and training against validation."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.render.svg import (
    BLUE,
    FAINT,
    MUTED,
    ORANGE,
    STYLES,
    Picture,
    Size,
    canvas,
    picture,
    scale_for,
    thin,
    whole_ticks,
)
from analysis.render.wording import drawn_note, metric_words, plural, score, sentence_case

HIGHLIGHTED = 5
DRAWN = 150  # lines in the background; more are a grey block
STAGES = (("before", ORANGE), ("after", BLUE))


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


class StageCurve(NamedTuple):
    """A metric of the final stage over the epochs of one stage ("before" or "after"), training and validation."""

    stage: str
    metric: str
    epochs: tuple[int, ...]
    train: tuple[float, ...]
    validation: tuple[float, ...]


def learning_curves(trials: pd.DataFrame, epochs: pd.DataFrame, metric: str, mode: str) -> Curves:
    """Choose the best trials and an even spread of the others."""
    order = trials.dropna(subset=["value"]).sort_values("value", ascending=mode == "min")["trial"]
    rank = {int(trial): place for place, trial in enumerate(order.head(HIGHLIGHTED), start=1)}
    stopped = set(trials.loc[trials["state"] == "pruned", "trial"])
    groups = [(int(str(trial)), rows) for trial, rows in epochs.groupby("trial")] if metric in epochs else []
    keep = [position for position, (trial, _) in enumerate(groups) if trial in rank]
    chosen = [groups[position] for position in thin(len(groups), DRAWN, keep)]
    curves = [_curve(trial, rows, metric, rank.get(trial, 0), trial in stopped) for trial, rows in chosen]
    return Curves(metric, tuple(sorted(curves, key=lambda curve: -curve.rank if curve.rank else -99)), len(groups))


def _curve(trial: int, rows: pd.DataFrame, metric: str, rank: int, stopped: bool) -> Curve:
    rows = rows.sort_values("epoch")
    values = tuple(float(value) for value in rows[metric])
    return Curve(trial, rank, tuple(int(epoch) for epoch in rows["epoch"]), values, stopped)


def stage_curves(rows: pd.DataFrame, metric: str) -> list[StageCurve]:
    """Training and validation `metric` ("macro_f1", "cross_entropy") per stage.

    `rows` has an `epoch`, `train_<metric>` and `val_<metric>` column and may have `stage` ("before", "after").
    """
    if f"train_{metric}" not in rows or f"val_{metric}" not in rows:
        return []
    staged = rows if "stage" in rows else rows.assign(stage="after")
    found = []
    for stage, _ in STAGES:
        own = staged[staged["stage"] == stage].sort_values("epoch")
        if len(own):
            train, validation = (tuple(float(v) for v in own[f"{split}_{metric}"]) for split in ("train", "val"))
            found.append(StageCurve(stage, metric, tuple(int(e) for e in own["epoch"]), train, validation))
    return found


def curves_picture(data: Curves) -> Picture:
    """All trials' curves, the best ones in colour."""
    title = sentence_case(f"{metric_words(data.metric)} by epoch")
    note = drawn_note(len(data.curves), data.total, "trial")
    return picture("curves", title, describe(data), lambda size: draw(data, size), note)


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
    figure, (axes,) = canvas(size, 400 if size.name == "wide" else 360)
    for curve in data.curves:
        _line(axes, curve)
    scale_for(axes, data.metric)
    whole_ticks(axes)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric_words(data.metric))
    handles, labels = axes.get_legend_handles_labels()
    order = np.argsort([int(label.split(".")[0]) if label[0].isdigit() else 99 for label in labels])
    columns = 6 if size.name == "wide" else 2
    figure.legend([handles[i] for i in order], [labels[i] for i in order], loc="outside upper left", ncols=columns)
    return figure


def _line(axes: Axes, curve: Curve) -> None:
    colour, dashes = STYLES[curve.rank - 1] if curve.rank else (FAINT, "-")
    label = f"{curve.rank}. trial {curve.trial}" if curve.rank else None
    width = 2.2 if curve.rank else 1
    axes.plot(curve.epochs, curve.values, color=colour, linestyle=dashes, linewidth=width, label=label, zorder=2)
    if len(curve.epochs) == 1 and not curve.stopped:
        axes.scatter(curve.epochs, curve.values, color=colour, s=12, zorder=2)
    if curve.stopped:
        known = any(text == "stopped early" for text in axes.get_legend_handles_labels()[1])
        cross = colour if curve.rank else MUTED
        label = None if known else "stopped early"
        axes.scatter(curve.epochs[-1:], curve.values[-1:], marker="x", s=26, color=cross, label=label, zorder=3)


def stages_picture(name: str, title: str, panels: list[list[StageCurve]]) -> Picture:
    """Training and validation side by side; a panel per metric."""
    alt = " ".join(describe_stage(curve) for panel in panels for curve in panel)
    return picture(name, title, alt, lambda size: draw_stages(panels, size))


def describe_stage(curve: StageCurve) -> str:
    """One line of the picture in words."""
    metric = f"val_{curve.metric}"
    return (
        f"{sentence_case(metric_words(curve.metric))} in epoch {curve.epochs[-1]}, {curve.stage} "
        f"oversampling: training {score(curve.train[-1], metric)}, validation {score(curve.validation[-1], metric)}."
    )


def draw_stages(panels: list[list[StageCurve]], size: Size) -> Figure:
    """Dashed lines for training, full ones for validation, a colour per stage."""
    wide = size.name == "wide"
    shape = (1, len(panels)) if wide else (len(panels), 1)
    figure, all_axes = canvas(size, 320 if wide else 250 * len(panels), *shape)
    colours = dict(STAGES)
    single = all(len(panel) < 2 for panel in panels)
    for axes, panel in zip(all_axes, panels, strict=True):
        for curve in panel:
            colour = colours[curve.stage]
            suffix = "" if single else f", {curve.stage}"
            axes.plot(curve.epochs, curve.validation, color=colour, linewidth=2.2, label=f"validation{suffix}")
            axes.plot(curve.epochs, curve.train, color=colour, linestyle="--", label=f"training{suffix}")
        axes.set_title(metric_words(panel[0].metric) if panel else "")
        scale_for(axes, panel[0].metric if panel else "")
        whole_ticks(axes)
        axes.set_xlabel("epoch")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4 if wide else 1)
    return figure
