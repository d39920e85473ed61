"""Ranks: scores at each rank of the taxonomy, and how far up the tree mistakes go."""

from collections.abc import Mapping
from typing import Any

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Line, Section, Table
from analysis.render.wording import count, join_words, percent, plural
from analysis.report.sections import MISTAKES


def section(data: ReportData) -> Section | None:
    """The table of ranks; None where the dataset's metadata had none, or without test photos."""
    found = data.final.metrics.get("taxonomy") if data.final else None
    return Section(MISTAKES, (ranks_table(found),)) if found else None


def ranks_table(found: Mapping[str, Any]) -> Table:
    """A row for each rank, the broadest first, from the final stage's `taxonomy`."""
    rows = [
        Line((row["rank"], count(row["tested"]), percent(row["accuracy"]), percent(row["macro_f1"])))
        for row in found["ranks"]
    ]
    heads = (Head("rank"), *(Head(text, "num") for text in ("tested taxa", "accuracy", "macro F1")))
    return Table("ranks", "Scores at each rank", heads, tuple(rows), mistakes_sentence(found["mistakes"]))


def mistakes_sentence(mistakes: Mapping[str, int]) -> str:
    """How many mistakes are right at which rank."""
    if not mistakes["all"]:
        return "No test photo was named wrong."
    parts = [
        f"{count(number)} {'is' if number == 1 else 'are'} right in the {rank}"
        for rank, number in mistakes.items()
        if rank not in ("all", "none")
    ]
    parts.append(f"{count(mistakes['none'])} at no rank")
    text = f"Of {plural(mistakes['all'], 'mistake')} on test, {join_words(parts)}."
    return f"{text} `predict --sure 0.95` names each photo at the deepest rank that is as likely as that."
