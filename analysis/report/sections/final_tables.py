"""The report's tables on the final model and its data: scores, families, mistakes, splits."""

from typing import Any

import pandas as pd

from analysis.data.report_data import Findings, leak_notes, leak_pairs
from analysis.render.table import Head, Line, Table
from analysis.render.wording import NONE, SPLITS, count, decimals, percent, plural, points, short_names
from analysis.report.sections.confusion import ConfusedPair, confused_pairs, pair_share

PAIRS_SHOWN = 15


def final_table(findings: Findings) -> Table | None:
    """The final stage's scores before and after oversampling, on training, validation and test photos."""
    final = findings.final
    if final is None:
        return None
    rows = []
    for stage in ("before", "after"):
        for split in ("train", "validation", "test"):
            figures = final.figures(stage, split)
            if figures:
                shares = (percent(figures.get(name)) for name in ("accuracy", "macro_f1"))
                losses = (decimals(figures.get(name), 3) for name in ("loss", "cross_entropy"))
                rows.append(Line((stage, SPLITS[split], *shares, *losses), stage == final.chosen))
    heads = (Head("oversampling"), Head("photos"), *(Head(text, "num") for text in _FINAL_SCORES))
    note = "The kept model is highlighted. The loss contains the L2 penalty on weights; the cross-entropy does not."
    return Table("Scores of the final stage", heads, tuple(rows), note)


_FINAL_SCORES = ("accuracy", "macro F1", "loss", "cross-entropy")


def families_table(findings: Findings) -> Table | None:
    """Every family: photos, F1 before and after, precision and recall on test."""
    if findings.final is None or findings.final.families.empty:
        return None
    table = findings.final.families
    short = short_names(list(table["family"]))
    order = table.sort_values(f"test_f1_{findings.final.chosen}", na_position="last")
    rows = tuple(_family_line(row, short[str(row["family"])]) for row in order.to_dict("records"))
    heads = (
        Head("family"),
        *(Head(split, "num", "photos") for split in ("training", "validation", "test")),
        *(Head(stage, "num", "validation F1") for stage in ("before", "after")),
        *(Head(text, "num", "test F1") for text in ("before", "after", "change")),
        *(Head(text, "num", "test") for text in ("precision", "recall")),
    )
    note = (
        "Lowest test F1 first. Before and after oversampling; the change is in percentage points. "
        "+ marks the families whose training photos were oversampled."
    )
    return Table("Every family", heads, rows, note)


def _family_line(row: dict[Any, Any], name: str) -> Line:
    photos = [count(row.get(f"{split}_photos")) for split in ("train", "validation", "test")]
    before, after = row["test_f1_before"], row["test_f1_after"]
    scores = [percent(row[key]) for key in ("val_f1_before", "val_f1_after", "test_f1_before", "test_f1_after")]
    kept = [percent(row.get(key)) for key in ("test_precision", "test_recall")]
    change = points(None if pd.isna(before) or pd.isna(after) else after - before)
    return Line((f"{name} +" if row.get("oversampled") else name, *photos, *scores, change, *kept))


def pairs_table(findings: Findings) -> Table | None:
    """The most frequent mistakes on test."""
    photos = findings.final.test_predictions if findings.final else pd.DataFrame()
    if photos.empty:
        return None
    pairs = confused_pairs(photos)
    short = short_names(sorted({*photos["family"], *photos["predicted"]}))
    rows = tuple(_pair_line(pair, short) for pair in pairs[:PAIRS_SHOWN])
    wrong = sum(pair.photos for pair in pairs)
    note = f"{plural(wrong, 'test photo')} of {count(len(photos))} were named wrongly, in {len(pairs)} different ways."
    heads = (Head("photos of"), Head("were taken for"), Head("photos", "num"), Head("share of the family", "num"))
    return Table("The most frequent mistakes", heads, rows, note)


def _pair_line(pair: ConfusedPair, short: dict[str, str]) -> Line:
    return Line((short[pair.family], short[pair.predicted], f"{pair.photos} of {pair.of}", pair_share(pair)))


def disjoint_table(findings: Findings) -> Table | None:
    """The proof that no photo is in two splits: a row per pair of splits and a column per comparison."""
    pairs = leak_pairs(findings)
    if not pairs:
        return None
    compared = list(dict.fromkeys(str(pair["by"]) for pair in pairs))
    rows: dict[str, dict[str, str]] = {}
    for pair in pairs:
        name = f"{SPLITS.get(str(pair['a']), pair['a'])} and {SPLITS.get(str(pair['b']), pair['b'])}"
        rows.setdefault(name, {})[str(pair["by"])] = f"{pair['shared']} shared"
    lines = tuple(Line((name, *(cells.get(by, NONE) for by in compared))) for name, cells in rows.items())
    heads = (Head("splits"), *(Head(f"by {by}", "num") for by in compared))
    caption = "Some photos are in two splits" if any(pair["shared"] for pair in pairs) else "No photo is in two splits"
    notes = ["Checked by the final stage before it trained.", *map(str, leak_notes(findings))]
    return Table(caption, heads, lines, " ".join(notes))


def splits_table(findings: Findings) -> Table | None:
    """Photos and families per split."""
    manifest = findings.experiment.manifest
    if manifest is None:
        return None
    counts = manifest["counts"]
    total = sum(sum(photos.values()) for photos in counts.values())
    rows = []
    for split in ("train", "validation", "test"):
        photos = [number for number in counts.get(split, {}).values() if number]
        smallest = count(min(photos)) if photos else NONE
        share = percent(sum(photos) / total if total else None)
        rows.append(Line((SPLITS[split], count(sum(photos)), share, count(len(photos)), smallest)))
    heads = (Head("split"), *(Head(text, "num") for text in ("photos", "share", "families", "fewest in a family")))
    return Table("Photos by split", heads, tuple(rows))
