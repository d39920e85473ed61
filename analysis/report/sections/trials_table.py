"""The report's tables on the sweep: trials, the best configuration."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.data.report_data import Findings
from analysis.render.table import Head, Line, Table
from analysis.render.wording import (
    NONE,
    STOP_WORDS,
    backbone_words,
    count,
    duration,
    knob_words,
    metric_words,
    score,
    sentence_case,
    setting,
)

TRIALS_SHOWN = 100


def trials_table(findings: Findings) -> Table:
    """Every trial, best first; of many, the best ones."""
    trials = findings.ranked
    knobs = [name for name in map(str, trials) if name.startswith("param_")]
    shown = trials.head(TRIALS_SHOWN)
    heads = (
        Head("trial", "num"),
        Head("how it ended", "plain"),
        Head(metric_words(findings.metric), "num"),
        Head("in epoch", "num"),
        Head("epochs run", "num"),
        *(Head(knob_words(knob), "num") for knob in knobs),
        Head("time", "num"),
        Head("why it ended", "why"),
    )
    rows = tuple(_trial_line(row, knobs, findings) for row in shown.to_dict("records"))
    if len(trials) == len(shown):
        return Table("Trials, best first", heads, rows, "The best trial is highlighted.")
    note = f"{len(shown)} of {count(len(trials))} trials; trials.csv beside this page has all of them."
    return Table(f"The best {len(shown)} trials", heads, rows, note)


def _trial_line(row: dict[Any, Any], knobs: Sequence[str], findings: Findings) -> Line:
    cells = (
        str(row["trial"]),
        STOP_WORDS.get(row["stop_kind"], str(row["stop_kind"])),
        score(row["value"], findings.metric),
        NONE if pd.isna(row["best_epoch"]) else count(row["best_epoch"]),
        count(row["epochs"]),
        *(setting(row[knob]) for knob in knobs),
        duration(row["seconds"]),
        sentence_case(row["stop_reason"]) if isinstance(row["stop_reason"], str) else NONE,
    )
    return Line(cells, bool(row["trial"] == findings.best))


def knobs_table(findings: Findings) -> Table:
    """The searched knobs of the best configuration, and what they were searched in."""
    space, config = findings.experiment.sweep["space"], flat_config(findings.config)
    rows = tuple(Line((knob_words(name), config.get(name, NONE), _range(knob))) for name, knob in space.items())
    heads = (Head("setting"), Head("best value", "num"), Head("searched in"))
    return Table("What was searched", heads, rows)


def fixed_knobs(findings: Findings) -> dict[str, str]:
    """The knobs that were the same in every trial, in words, with their values."""
    space = findings.experiment.sweep["space"]
    each_trial = {"seed", "sweep_seed"}  # seeds are told in the provenance
    config = flat_config(findings.config)
    return {knob_words(name): value for name, value in config.items() if name not in space and name not in each_trial}


def flat_config(config: dict[str, Any]) -> dict[str, str]:
    """A configuration with `augmentation.zoom` for nested knobs, values as text."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= {f"{name}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {name: value}
    return {name: backbone_words(value) if name == "backbone" else setting(value) for name, value in flat.items()}


def _range(knob: Any) -> str:
    if isinstance(knob, list):
        return ", ".join(setting(value) for value in knob)
    how = ", logarithmic" if knob.get("log") else f", steps of {setting(knob['step'])}" if knob.get("step") else ""
    return f"{setting(knob['low'])} to {setting(knob['high'])}{how}"
