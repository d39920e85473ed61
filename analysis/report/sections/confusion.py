"""Confusion matrix and most frequent mistakes on the test photos."""

from collections import Counter
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Line, Section, Table
from analysis.render.svg import BLUE, GRID, INK, PAPER, VERMILION, Picture, Size, canvas
from analysis.render.wording import count, percent, plural, short_names
from analysis.report.sections import MISTAKES

SHOWN = 10  # families in the matrix: more do not fit a phone
PAIRS_SHOWN = 15
OTHER = "any other"


class ConfusedPair(NamedTuple):
    """`photos` of `family`, of its `of` photos, were predicted as `predicted`."""

    family: str
    predicted: str
    photos: int
    of: int


def section(data: ReportData) -> Section | None:
    """The matrix and the table of pairs; None without test predictions."""
    table = pairs_table(data)
    if table is None:
        return None
    matrix = confusion(data.test_photos)
    note = (
        "Test photos: a row is the true family, a column what the model said. Blue is right, orange is wrong, deeper "
        "for a larger share of the row."
    )
    picture = Picture("confusion", "The most confused families", describe(matrix), partial(draw, matrix), note)
    return Section(MISTAKES, (picture, table) if len(matrix) else (table,))


def pairs_table(data: ReportData) -> Table | None:
    """The most frequent mistakes on test; None without test predictions."""
    photos = data.test_photos
    if photos.empty:
        return None
    pairs = confused_pairs(photos)
    short = short_names(sorted({*photos["family"], *photos["predicted"]}))
    rows = tuple(
        Line((short[family], short[predicted], f"{wrong} of {of}", percent(wrong / of)))
        for family, predicted, wrong, of in pairs[:PAIRS_SHOWN]
    )
    wrong = plural(sum(pair.photos for pair in pairs), "test photo")
    note = f"{wrong} of {count(len(photos))} were named wrongly, in {len(pairs)} different ways."
    heads = (Head("photos of"), Head("were taken for"), Head("photos", "num"), Head("share of the family", "num"))
    return Table("pairs", "The most frequent mistakes", heads, rows, note)


def confused_pairs(predictions: pd.DataFrame) -> list[ConfusedPair]:
    """All wrong (truth, prediction) pairs, most photos first, then the largest share of the family.

    `predictions` has columns family (the truth) and predicted.
    """
    sizes = predictions["family"].value_counts()
    wrong = predictions[predictions["family"] != predictions["predicted"]]
    counts = Counter(zip(wrong["family"], wrong["predicted"], strict=True))
    pairs = [ConfusedPair(truth, guess, photos, int(sizes[truth])) for (truth, guess), photos in counts.items()]
    return sorted(pairs, key=lambda pair: (-pair.photos, -pair.photos / pair.of, pair.family, pair.predicted))


def confusion(predictions: pd.DataFrame, limit: int = SHOWN) -> pd.DataFrame:
    """Photos by truth (row) and prediction (column, last all other families) of the families most often mistaken."""
    chosen: list[str] = []
    for pair in confused_pairs(predictions):
        fresh = [name for name in (pair.family, pair.predicted) if name not in chosen]
        if len(chosen) + len(fresh) <= limit:
            chosen += fresh
    rows = predictions[predictions["family"].isin(chosen)]
    guesses = rows["predicted"].where(rows["predicted"].isin(chosen), OTHER)
    counts = pd.crosstab(rows["family"], guesses).reindex(index=chosen, columns=[*chosen, OTHER], fill_value=0)
    short = short_names(sorted({*predictions["family"], *predictions["predicted"]}))
    return counts.rename(index=short, columns=short)


def describe(data: pd.DataFrame) -> str:
    """The picture in words: the three largest entries off the diagonal."""
    counts, names = data.to_numpy(), (*data.index, "another family")
    wrong = [
        (int(counts[row, column]), names[row], names[column])
        for row, column in np.argwhere(counts > 0)
        if row != column
    ]
    said = "; ".join(f"{photos} of {truth} taken for {guess}" for photos, truth, guess in sorted(wrong)[:-4:-1])
    families = plural(len(data), "family", "families")
    return f"A table of {families}, the truth by row, the prediction by column. {said}."


def draw(data: pd.DataFrame, size: Size) -> Figure:
    """Deeper colour for a larger share of the row: blue where it is right, vermilion where it is wrong."""
    figure, (axes,) = canvas(size, (44 if size.wide else 25) * len(data) + (170 if size.wide else 150))
    counts = data.to_numpy()
    for row, column in np.ndindex(counts.shape):
        photos = int(counts[row, column])
        share = photos / max(counts[row].sum(), 1)
        colour = (BLUE if row == column else VERMILION) if photos else GRID
        tile = Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, linewidth=0)
        tile.set_alpha(0.1 + 0.86 * share if photos else 0.4)
        axes.add_patch(tile)
        if photos or row == column:
            ink = PAPER if share > 0.72 else INK
            axes.text(column, row, str(photos), ha="center", va="center_baseline", color=ink)
    turned = (40, "left") if size.wide else (90, "center")
    axes.set_xticks(range(len(data.columns)), list(data.columns), rotation=turned[0], ha=turned[1])
    axes.xaxis.set_ticks_position("top")
    axes.set_yticks(range(len(data)), list(data.index))
    axes.set_xlim(-0.5, len(data.columns) - 0.5)
    axes.set_ylim(len(data) - 0.5, -0.5)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure
