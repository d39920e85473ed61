"""Which families are taken for which."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.render.svg import BLUE, GRID, INK, PAPER, VERMILION, Picture, Size, canvas, picture
from analysis.render.wording import percent, plural, short_names

SHOWN = 10  # families in the matrix: more do not fit a phone


class ConfusedPair(NamedTuple):
    """`photos` of `family`, of its `of` photos, were predicted as `predicted`."""

    family: str
    predicted: str
    photos: int
    of: int


class Confusion(NamedTuple):
    """Counts [families, families + 1]: row the truth, column the prediction, last column all other families."""

    names: tuple[str, ...]
    counts: np.ndarray
    totals: tuple[int, ...]


def confused_pairs(predictions: pd.DataFrame) -> list[ConfusedPair]:
    """All wrong (truth, prediction) pairs, most photos first, then the largest share of the family.

    `predictions` has columns family (the truth) and predicted.
    """
    sizes = predictions["family"].value_counts()
    wrong = predictions[predictions["family"] != predictions["predicted"]]
    counts = Counter(zip(wrong["family"], wrong["predicted"], strict=True))
    pairs = [ConfusedPair(truth, guess, photos, int(sizes[truth])) for (truth, guess), photos in counts.items()]
    return sorted(pairs, key=lambda pair: (-pair.photos, -pair.photos / pair.of, pair.family, pair.predicted))


def confusion(predictions: pd.DataFrame, limit: int = SHOWN) -> Confusion:
    """The matrix of the families in the most frequent mistakes; empty when there are none."""
    chosen: list[str] = []
    for pair in confused_pairs(predictions):
        fresh = [name for name in (pair.family, pair.predicted) if name not in chosen]
        if len(chosen) + len(fresh) <= limit:
            chosen += fresh
    place = {name: position for position, name in enumerate(chosen)}
    counts = np.zeros((len(chosen), len(chosen) + 1), int)
    rows = predictions[predictions["family"].isin(chosen)]
    for truth, guess in zip(rows["family"], rows["predicted"], strict=True):
        counts[place[truth], place.get(guess, len(chosen))] += 1
    short = short_names(sorted({*predictions["family"], *predictions["predicted"]}))
    return Confusion(tuple(short[name] for name in chosen), counts, tuple(int(total) for total in counts.sum(axis=1)))


def confusion_picture(data: Confusion) -> Picture:
    """The matrix as tiles with numbers."""
    return picture("confusion", "The most confused families", describe(data), lambda size: draw(data, size))


def describe(data: Confusion) -> str:
    """The picture in words: the three largest entries off the diagonal."""
    names = (*data.names, "another family")
    wrong = [
        (int(data.counts[row, column]), data.names[row], names[column])
        for row, column in np.argwhere(data.counts > 0)
        if row != column
    ]
    largest = sorted(wrong, reverse=True)[:3]
    said = "; ".join(f"{count} of {truth} taken for {guess}" for count, truth, guess in largest)
    families = plural(len(data.names), "family", "families")
    return f"A table of {families}, the truth by row, the prediction by column. {said}."


def draw(data: Confusion, size: Size) -> Figure:
    """Deeper colour for a larger share of the row: blue where it is right, vermilion where it is wrong."""
    side = 44 if size.name == "wide" else 25
    figure, (axes,) = canvas(size, side * len(data.names) + (170 if size.name == "wide" else 150))
    for row, column in np.ndindex(data.counts.shape):
        _tile(axes, data, int(row), int(column))
    names = [*data.names, "any other"]
    axes.set_xticks(range(len(names)), names, rotation=90 if size.name == "narrow" else 40, ha=_side(size))
    axes.xaxis.set_ticks_position("top")
    axes.set_yticks(range(len(data.names)), data.names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(data.names) - 0.5, -0.5)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _side(size: Size) -> str:
    return "center" if size.name == "narrow" else "left"


def _tile(axes: Axes, data: Confusion, row: int, column: int) -> None:
    count = int(data.counts[row, column])
    share = count / max(data.totals[row], 1)
    colour = (BLUE if row == column else VERMILION) if count else GRID
    tile = Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, linewidth=0)
    tile.set_alpha(0.1 + 0.86 * share if count else 0.4)
    axes.add_patch(tile)
    if count or row == column:
        axes.text(column, row, str(count), ha="center", va="center_baseline", color=PAPER if share > 0.72 else INK)


def pair_share(pair: ConfusedPair) -> str:
    """The share of the family's photos that went wrong this way."""
    return percent(pair.photos / pair.of)
