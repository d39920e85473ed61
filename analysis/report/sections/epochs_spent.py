"""Budget of the sweep: epochs and time by how the trials ended."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Line, Section, Table
from analysis.render.svg import BLUE, FAINT, GREEN, Picture, Size, canvas, legend
from analysis.render.wording import STOP_WORDS, count, duration, percent, plural
from analysis.report.sections import SWEEP

BEST = "the best trial"


class Share(NamedTuple):
    """One use of the budget: `run` and `saved` in epochs, `seconds` of wall-clock time added up over trials."""

    use: str
    trials: int
    run: int
    saved: int
    seconds: float


class Spending(NamedTuple):
    """All uses, the best trial first, then the most epochs; `longest` is how many epochs a trial could run."""

    shares: tuple[Share, ...]
    longest: int

    @property
    def run(self) -> int:
        """Epochs that were run."""
        return sum(share.run for share in self.shares)


def section(data: ReportData) -> Section:
    """Bars where there are trials, and the same as a table."""
    found = spending(data.frames.trials, data.best, data.max_epochs)
    note = (
        "Full bars: epochs that were run. Dashed: epochs that were saved against running every trial to its last one."
    )
    picture = Picture("spending", "What the epochs went to", describe(found), partial(draw, found), note)
    return Section(SWEEP, (picture, spending_table(found)) if found.shares else (spending_table(found),))


def spending(trials: pd.DataFrame, best: int | None, longest: int) -> Spending:
    """Group the trials by how they ended, those stopped at a rung by the rung; the best trial stands apart."""
    uses = []
    for trial, kind, rung in zip(trials["trial"], trials["stop_kind"], trials["stop_rung"], strict=True):
        words = STOP_WORDS.get(str(kind), str(kind))
        uses.append(BEST if trial == best else words if pd.isna(rung) else f"{words} at epoch {int(rung)}")
    shares = []
    for use, group in trials.groupby(np.array(uses, object)):
        run = int(group["epochs"].sum())
        open_trials = group["state"].isin(["running", "waiting"])
        saved = 0 if open_trials.all() else longest * len(group) - run
        shares.append(Share(str(use), len(group), run, saved, float(group["seconds"].sum())))
    return Spending(tuple(sorted(shares, key=lambda share: (share.use != BEST, -share.run))), longest)


def spending_table(data: Spending) -> Table:
    """Where the epochs went, by how trials ended."""
    rows = tuple(
        Line(
            (
                share.use,
                count(share.trials),
                count(share.run),
                percent(share.run / max(data.run, 1), 0),
                count(share.saved),
                duration(share.seconds),
            )
        )
        for share in data.shares
    )
    heads = ("trials", "epochs run", "share of epochs", "epochs saved", "time")
    note = (
        f"Saved against running every trial for all of its {plural(data.longest, 'epoch')}. Times add up over trials."
    )
    return Table(
        "spending", "Where the budget went", (Head("spent on"), *(Head(text, "num") for text in heads)), rows, note
    )


def describe(data: Spending) -> str:
    """The picture in words."""
    parts = [f"{share.use} {percent(share.run / max(data.run, 1), 0)}" for share in data.shares]
    return f"Of {plural(data.run, 'epoch')}: {'; '.join(parts)}."


def draw(data: Spending, size: Size) -> Figure:
    """Horizontal bars, the words beside them."""
    figure, (axes,) = canvas(size, 34 * len(data.shares) + 80)
    rows = np.arange(len(data.shares))[::-1]
    run, saved = (np.array([getattr(share, name) for share in data.shares]) for name in ("run", "saved"))
    colours = [GREEN if share.use == BEST else BLUE for share in data.shares]
    axes.barh(rows, run, height=0.62, color=colours, label="run")
    axes.barh(rows, saved, left=run, height=0.62, facecolor="none", edgecolor=FAINT, linestyle="--", label="saved")
    axes.set_yticks(rows, [share.use for share in data.shares])
    axes.set_xlabel("epochs")
    axes.grid(axis="y", visible=False)
    legend(figure, axes, size)
    return figure
