"""Backbones side by side, where a sweep searched over them: the reference study's figures 7 and 8."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.frames import Frames
from analysis.render.svg import BLUE, ORANGE, Picture, Size, canvas, legend, picture, scale_for
from analysis.render.wording import percent

_KNOB = "param_backbone"
FIGURES = ("accuracy", "loss", "macro_f1")
_SPLITS = {"train": "training", "val": "validation"}
_PANELS = (("accuracy", "Accuracy"), ("macro_f1", "Macro F1"))


class Models(NamedTuple):
    """A row for each backbone, in the order of the trials: `figures` has columns train_accuracy … val_macro_f1."""

    names: tuple[str, ...]
    figures: pd.DataFrame


def models(frames: Frames) -> Models | None:
    """The figures of each backbone's best trial at its best epoch; None where the backbone was not searched."""
    if _KNOB not in frames.trials:
        return None
    trials = frames.trials.dropna(subset=["best_epoch"])
    best = frames.epochs.merge(
        trials[["trial", "best_epoch", "value", _KNOB]], on=["trial"], suffixes=("", "_of_trial")
    )
    best = best[best["epoch"] == best["best_epoch_of_trial"]]
    best = best.sort_values("val_macro_f1", ascending=False).drop_duplicates(_KNOB).sort_values("trial")
    columns = [f"{split}_{figure}" for split in _SPLITS for figure in FIGURES]
    return Models(tuple(map(str, best[_KNOB])), best[columns].reset_index(drop=True))


def models_picture(data: Models) -> Picture:
    """Bars of accuracy and of macro F1, training beside validation."""
    return picture("models", "Accuracy and macro F1 by backbone", describe(data), lambda size: draw(data, size))


def describe(data: Models) -> str:
    """The picture in words."""
    parts = [
        f"{name}: validation accuracy {percent(accuracy)}, macro F1 {percent(macro_f1)}"
        for name, accuracy, macro_f1 in zip(
            data.names, data.figures["val_accuracy"], data.figures["val_macro_f1"], strict=True
        )
    ]
    return "; ".join(parts) + "."


def draw(data: Models, size: Size) -> Figure:
    """One panel a figure; side by side on a wide page, one above the other on a phone."""
    wide = size.name == "wide"
    figure, panels = canvas(size, 300 if wide else 560, rows=1 if wide else 2, columns=2 if wide else 1)
    places = np.arange(len(data.names))
    for axes, (name, title) in zip(panels, _PANELS, strict=True):
        for offset, (split, words), colour in zip((-0.2, 0.2), _SPLITS.items(), (BLUE, ORANGE), strict=True):
            axes.bar(places + offset, data.figures[f"{split}_{name}"], width=0.38, color=colour, label=words)
        axes.set_title(title)
        axes.set_xticks(places, data.names, rotation=25 if len(data.names) > 3 else 0)
        axes.grid(axis="x", visible=False)
        axes.set_ylim(0, None)
        scale_for(axes, name)
    legend(figure, panels[0], size)
    return figure
