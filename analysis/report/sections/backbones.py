"""Backbones and final model as in the reference study's tables and figures."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.frames import Frames
from analysis.data.report_data import ReportData
from analysis.render.section import Head, Heading, Line, Section, Table
from analysis.render.svg import BLUE, ORANGE, Picture, Size, canvas, legend, scale_for
from analysis.render.wording import backbone_words, decimals, percent

_KNOB = "param_backbone"
STUDY = "“Rare Species Classification Based on Images” (2025)"
FIGURES = ("accuracy", "loss", "macro_f1")
_SPLITS = {"train": "training", "val": "validation"}


def section(data: ReportData) -> Section | None:
    """The study's table, and bars of backbones; None without backbones and without a final stage."""
    table, found = study_table(data), models(data.baselines)
    if table is None:
        return None
    heading = Heading("study", f"As in the study {STUDY}", "As in the study")
    if found is None or found.empty:
        return Section(heading, (table,))
    title, note = "Accuracy and macro F1 by backbone", "each backbone’s best trial, at its best epoch."
    note = f"The study’s figures 7 and 8: {note}"
    return Section(heading, (table, Picture("models", title, describe(found), partial(draw, found), note)))


def models(frames: Frames) -> pd.DataFrame | None:
    """train_accuracy … val_macro_f1 by backbone, of its best trial at its best epoch; None if not searched."""
    if _KNOB not in frames.trials:
        return None
    trials = frames.trials.dropna(subset=["best_epoch"])
    best = frames.epochs.merge(
        trials[["trial", "best_epoch", "value", _KNOB]], on=["trial"], suffixes=("", "_of_trial")
    )
    best = best[best["epoch"] == best["best_epoch_of_trial"]]
    best = best.sort_values("val_macro_f1", ascending=False).drop_duplicates(_KNOB).sort_values("trial")
    columns = [f"{split}_{figure}" for split in _SPLITS for figure in FIGURES]
    return best.set_index(_KNOB)[columns]


def study_table(data: ReportData) -> Table | None:
    """A row for each model that there is: every backbone's best trial, and the final stage before and after.

    None where there is neither a sweep over backbones nor a final stage.
    """
    found, final, lines = models(data.baselines), data.final, []
    note = "Losses include the L2 penalty on weights."
    if found is not None:
        note += " Backbones: the best trial of each, at its best epoch; test is not read for them."
        for name, row in zip(found.index, found.to_dict("records"), strict=True):
            splits = [{figure: row[f"{prefix}_{figure}"] for figure in FIGURES} for prefix in _SPLITS]
            lines.append(Line((backbone_words(name), "table 3", *_cells(*splits, {}))))
    else:
        note += (
            " Table 3 and figures 7 and 8 compare backbones, which this sweep did not: run "
            "search/sweeps/baselines.yaml on the same dataset and name its folder with `report --baselines`."
        )
    if final is not None:
        model = backbone_words(data.config.get("backbone", "the model"))
        before = [("before", "table 7", "before oversampling")] if final.oversampled else []
        for stage, table, words in (*before, (final.chosen, "tables 1, 2", "final")):
            judged = final.tested if words == "final" else stage
            of_test = final.figures(judged, "test")
            cells = _cells(*(final.figures(stage, split) for split in ("train", "validation")), of_test)
            lines.append(Line((f"{model}, {words}", table, *cells), words == "final"))
    heads = [Head("model"), Head("in the study", "plain")]
    for group in ("training", "validation", "test"):
        heads += [Head(text, "num", group) for text in ("accuracy", "loss", "macro F1")]
    caption = "The study’s tables, for these photos"
    return Table("study", caption, tuple(heads), tuple(lines), note) if lines else None


def _cells(*splits: Mapping[Any, float]) -> list[str]:
    """Accuracy, loss and macro F1 of each split."""
    words = {"accuracy": percent, "loss": decimals, "macro_f1": percent}
    return [words[figure](split.get(figure)) for split in splits for figure in FIGURES]


def describe(data: pd.DataFrame) -> str:
    """The picture in words."""
    scores = zip(data.index, data["val_accuracy"], data["val_macro_f1"], strict=True)
    parts = [f"{name}: validation accuracy {percent(share)}, macro F1 {percent(f1)}" for name, share, f1 in scores]
    return "; ".join(parts) + "."


def draw(data: pd.DataFrame, size: Size) -> Figure:
    """One panel a figure; side by side on a wide page, one above the other on a phone."""
    figure, panels = canvas(size, 300 if size.wide else 560, *size.beside(2))
    places = np.arange(len(data))
    for axes, (name, title) in zip(panels, (("accuracy", "Accuracy"), ("macro_f1", "Macro F1")), strict=True):
        for offset, (split, words), colour in zip((-0.2, 0.2), _SPLITS.items(), (BLUE, ORANGE), strict=True):
            axes.bar(places + offset, data[f"{split}_{name}"], width=0.38, color=colour, label=words)
        axes.set_title(title)
        axes.set_xticks(places, list(data.index), rotation=25 if len(data) > 3 else 0)
        axes.grid(axis="x", visible=False)
        axes.set_ylim(0, None)
        scale_for(axes, name)
    legend(figure, panels[0], size)
    return figure
