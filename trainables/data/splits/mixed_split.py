"""A split of groups that hold several classes each, such as the photos of one camera-trap station."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

_MOST_DEALS = 24
_MOST_MOVES = 60_000  # tried in all, about: of a few groups many deals are made, of many one
_SWAPPED = 200  # groups: with more, moves alone come close enough
_NOT_TRAINED = 100.0
_NOT_JUDGED = 1.0

Counts = Mapping[str, int]
"""Photos by class."""


class _Deal(NamedTuple):
    cost: float
    places: list[int]


def deal(groups: Mapping[str, Counts], in_train: Counts, fractions: Sequence[float], seed: int) -> dict[str, int]:
    """A split's number for each group, so that each class comes as close to `fractions` as whole groups permit.

    Every class gets photos in training, and in each other split where groups permit it; that goes before the shares.
    `in_train` are photos that are in training already; the first fraction is training's. Groups are dealt at random,
    several times, each deal is improved by moves and swaps, and the best is kept.
    """
    if not groups:
        return {}
    names = sorted(groups)
    rng = np.random.default_rng([seed, len(names)])
    table = _Table([groups[name] for name in names], in_train, fractions)
    deals = max(1, min(_MOST_DEALS, _MOST_MOVES // max(1, len(names) * len(fractions))))
    best = min(_one_deal(table, [int(one) for one in rng.permutation(len(names))]) for _ in range(deals))
    return dict(zip(names, best.places, strict=True))


class _Table:
    """Photos by class and split, and what a group more or less would cost."""

    def __init__(self, groups: Sequence[Counts], in_train: Counts, fractions: Sequence[float]) -> None:
        classes = {name: number for number, name in enumerate(sorted({name for group in groups for name in group}))}
        self.groups = [[(classes[name], count) for name, count in sorted(group.items())] for group in groups]
        self.splits = range(len(fractions))
        self.start = [[in_train.get(name, 0), *[0] * (len(fractions) - 1)] for name in classes]
        totals = [sum(row) for row in self.start]
        for group in self.groups:
            for number, count in group:
                totals[number] += count
        self.targets = [[fraction * total for fraction in fractions] for total in totals]
        self.totals = totals

    def cost_of(self, number: int, row: Sequence[int]) -> float:
        """What one class costs: its distance from its shares, and the splits that it is not in."""
        total, cost = self.totals[number], 0.0
        for split, (count, target) in enumerate(zip(row, self.targets[number], strict=True)):
            cost += ((count - target) / total) ** 2
            if not count:
                cost += _NOT_JUDGED if split else _NOT_TRAINED
        return cost

    def change(self, filled: list[list[int]], moves: Sequence[tuple[int, int, int]]) -> float:
        """How the cost changes when groups move, each given as (group, from, to); from -1 is from nowhere."""
        after: dict[int, list[int]] = {}
        for group, old, new in moves:
            for number, count in self.groups[group]:
                row = after.setdefault(number, list(filled[number]))
                if old >= 0:
                    row[old] -= count
                row[new] += count
        return sum(self.cost_of(number, row) - self.cost_of(number, filled[number]) for number, row in after.items())

    def move(self, filled: list[list[int]], moves: Sequence[tuple[int, int, int]]) -> None:
        """Do it."""
        for group, old, new in moves:
            for number, count in self.groups[group]:
                if old >= 0:
                    filled[number][old] -= count
                filled[number][new] += count


def _one_deal(table: _Table, order: Sequence[int]) -> _Deal:
    filled = [list(row) for row in table.start]
    places = [-1] * len(table.groups)
    for group in order:
        places[group] = min(table.splits, key=lambda to: (table.change(filled, [(group, -1, to)]), to))
        table.move(filled, [(group, -1, places[group])])
    while step := _better(table, filled, places, order):
        table.move(filled, step)
        for group, _, to in step:
            places[group] = to
    return _Deal(sum(table.cost_of(number, row) for number, row in enumerate(filled)), places)


def _better(
    table: _Table, filled: list[list[int]], places: list[int], order: Sequence[int]
) -> list[tuple[int, int, int]]:
    """Make all single moves that help, one after the other; then the first swap that does, [] where none is left."""
    improved = True
    while improved:
        improved = False
        for group in order:
            here = places[group]
            for to in table.splits:
                if to != here and table.change(filled, [(group, here, to)]) < -1e-9:
                    table.move(filled, [(group, here, to)])
                    places[group] = here = to
                    improved = True
    if len(order) > _SWAPPED:
        return []
    for at, group in enumerate(order):
        for other in order[at + 1 :]:
            here, there = places[group], places[other]
            swap = [(group, here, there), (other, there, here)]
            if here != there and table.change(filled, swap) < -1e-9:
                return swap
    return []
