"""Table of all trials, best first."""

from collections.abc import Mapping

import pandas as pd
from markupsafe import Markup

from analysis.data.frames import KNOBS_PLACE, TRIAL_COLUMNS, Column, Shown
from analysis.data.report_data import ReportData
from analysis.render.section import Head, Heading, Line, Prose, Section, Table
from analysis.render.wording import count, knob_words, metric_words, setting

TRIALS_SHOWN = 100


def section(data: ReportData) -> Section:
    """The table, and where all of it lies as a file."""
    files = (
        'As files for a spreadsheet: <a href="trials.csv">trials.csv</a>, <a href="epochs.csv">epochs.csv</a>; '
        '<a href="columns.csv">columns.csv</a> explains their columns.'
    )
    return Section(Heading("trials", "All trials"), (trials_table(data), Prose(Markup(files), style="small quiet")))


def trials_table(data: ReportData) -> Table:
    """Every trial, best first; of many, the best ones."""
    total = len(data.ranked)
    heads, rows = trials_lines(data, data.ranked.head(TRIALS_SHOWN), TRIAL_COLUMNS)
    caption, note = "Trials, best first", "The best trial is highlighted."
    if len(rows) < total:
        caption = f"The best {len(rows)} trials"
        note = f"{len(rows)} of {count(total)} trials; trials.csv beside this page has all of them."
    return Table("trials", caption, heads, rows, note, breakout=True)


def trials_lines(
    data: ReportData, trials: pd.DataFrame, columns: Mapping[str, Column]
) -> tuple[tuple[Head, ...], tuple[Line, ...]]:
    """The rows of some trials: those of the `columns` that are shown, and the searched knobs."""
    named = {name: column.shown for name, column in columns.items() if column.shown}
    for name in map(str, data.frames.trials):
        if name.startswith("param_"):
            named[name] = Shown(KNOBS_PLACE, knob_words(name), lambda value, _: setting(value))
    shown = sorted(named.items(), key=lambda item: item[1].place)
    heads = tuple(Head(each.heading or metric_words(data.metric), each.kind) for _, each in shown)
    rows = tuple(
        Line(tuple(each.words(row[name], data.metric) for name, each in shown), bool(row["trial"] == data.best))
        for row in trials.to_dict("records")
    )
    return heads, rows
