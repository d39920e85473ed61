"""The reference study's tables of scores, in one, for this data: its tables 3 (backbones), 7 and 1–2 (final model)."""

from collections.abc import Mapping
from typing import Any

from analysis.data.report_data import Findings
from analysis.render.table import Head, Line, Table
from analysis.render.wording import backbone_words, decimals, percent
from analysis.report.sections.backbones import FIGURES, models

_SPLITS = ("train", "validation", "test")
_HEADS = {"accuracy": "accuracy", "loss": "loss", "macro_f1": "macro F1"}


def study_table(findings: Findings) -> Table | None:
    """A row for each model that there is: every backbone's best trial, and the final stage before and after.

    None where there is neither a sweep over backbones nor a final stage.
    """
    rows = [*_backbones(findings), *_final_stage(findings)]
    if not rows:
        return None
    heads = [Head("model"), Head("in the study", "plain")]
    for group in ("training", "validation", "test"):
        heads += [Head(text, "num", group) for text in _HEADS.values()]
    return Table("The reference study’s tables, for these photos", tuple(heads), tuple(rows), _note(findings))


def _backbones(findings: Findings) -> list[Line]:
    side_by_side = models(findings.baselines)
    if side_by_side is None:
        return []
    lines = []
    for name, row in zip(side_by_side.names, side_by_side.figures.to_dict("records"), strict=True):
        splits = [{figure: row[f"{prefix}_{figure}"] for figure in FIGURES} for prefix in ("train", "val")]
        lines.append(
            Line((backbone_words(name), "table 3", *(cell for split in (*splits, {}) for cell in _cells(split))))
        )
    return lines


def _final_stage(findings: Findings) -> list[Line]:
    final = findings.final
    if final is None:
        return []
    model = backbone_words(findings.config.get("backbone", "the model"))
    lines = []
    for stage, table, words in (("before", "table 7", "before oversampling"), (final.chosen, "tables 1, 2", "final")):
        cells = (cell for split in _SPLITS for cell in _cells(final.figures(stage, split)))
        lines.append(Line((f"{model}, {words}", table, *cells), words == "final"))
    return lines


def _cells(figures: Mapping[Any, float]) -> tuple[str, str, str]:
    accuracy, loss, macro = (figures.get(name) for name in FIGURES)
    return percent(accuracy), decimals(loss), percent(macro)


def _note(findings: Findings) -> str:
    loss = "Losses include the L2 penalty on weights."
    if models(findings.baselines) is not None:
        return f"{loss} Backbones: the best trial of each, at its best epoch; test is not read for them."
    return (
        f"{loss} Table 3 and figures 7 and 8 compare backbones, which this sweep did not: run "
        "search/sweeps/baselines.yaml on the same dataset and name its folder with `report --baselines`."
    )
