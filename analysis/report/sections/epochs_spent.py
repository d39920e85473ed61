"""Budget of the sweep: epochs and time by how the trials ended."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Line, Section, Table
from analysis.render.svg import BLUE, FAINT, GREEN, Picture, Size, canvas, legend
from analysis.render.wording import STOP_WORDS, count, duration, percent, plural
from analysis.report.sections import SWEEP
from search.config.registry import STOP_RULES

BEST = "the best trial"


def section(data: ReportData) -> Section:
    """Bars where there are trials, and the same as a table."""
    found = spending(data.frames.trials, data.best, data.max_epochs)
    note = "Full bars: epochs that were run. Dashed: epochs that early stopping saved."
    whole = int(found["run"].sum())
    parts = [f"{use} {percent(run / max(whole, 1), 0)}" for use, run in zip(found["use"], found["run"], strict=True)]
    alt = f"Of {plural(whole, 'epoch')}: {'; '.join(parts)}."
    picture = Picture("spending", "What the epochs went to", alt, partial(draw, found), note)
    table = spending_table(found, data.max_epochs)
    return Section(SWEEP, (picture, table) if len(found) else (table,))


def spending(trials: pd.DataFrame, best: int | None, longest: int) -> pd.DataFrame:
    """A row for each use of the budget: the best trial, then the others by how they ended, the most epochs first.

    Columns: use, trials, run and saved (epochs, of at most `longest` a trial), seconds (added up over trials).
    """
    uses = []
    left_out = saved_epochs(trials, longest)
    for trial, kind, rung in zip(trials["trial"], trials["stop_kind"], trials["stop_rung"], strict=True):
        words = STOP_WORDS.get(str(kind), str(kind))
        uses.append(BEST if trial == best else words if pd.isna(rung) else f"{words} at epoch {int(rung)}")
    shares = []
    for use, group in trials.groupby(np.array(uses, object)):
        run = int(group["epochs"].sum())
        saved = int(left_out[group.index].sum())
        shares.append((str(use), len(group), run, saved, float(group["seconds"].sum())))
    shares.sort(key=lambda share: (share[0] != BEST, -share[2]))
    return pd.DataFrame(shares, columns=["use", "trials", "run", "saved", "seconds"])


def saved_epochs(trials: pd.DataFrame, longest: int) -> pd.Series:
    """How many of `longest` epochs early stopping left out of each trial; none of one that failed or was cut off."""
    stopped = trials["stop_kind"].isin([*STOP_RULES, "early_stopping"])
    return (longest - trials["epochs"]).clip(lower=0).where(stopped, 0)


def spending_table(data: pd.DataFrame, longest: int) -> Table:
    """Where the epochs went, by how trials ended."""
    whole = max(int(data["run"].sum()), 1)
    rows = tuple(
        Line((use, count(trials), count(run), percent(run / whole, 0), count(saved), duration(seconds)))
        for use, trials, run, saved, seconds in data.itertuples(index=False)
    )
    heads = ("trials", "epochs run", "share of epochs", "epochs saved", "time")
    note = f"Saved by early stopping, of a trial's {plural(longest, 'epoch')}. Times add up over trials."
    return Table(
        "spending", "Where the budget went", (Head("spent on"), *(Head(text, "num") for text in heads)), rows, note
    )


def draw(data: pd.DataFrame, size: Size) -> Figure:
    """Horizontal bars, the words beside them."""
    figure, (axes,) = canvas(size, 34 * len(data) + 80)
    rows = np.arange(len(data))[::-1]
    colours = [GREEN if use == BEST else BLUE for use in data["use"]]
    axes.barh(rows, data["run"], height=0.62, color=colours, label="run")
    axes.barh(
        rows,
        data["saved"],
        left=data["run"],
        height=0.62,
        facecolor="none",
        edgecolor=FAINT,
        linestyle="--",
        label="saved",
    )
    axes.set_yticks(rows, data["use"])
    axes.set_xlabel("epochs")
    axes.grid(axis="y", visible=False)
    legend(figure, axes, size)
    return figure
