"""Portfolio: configurations that did well on several sets of photos, for `points: auto`."""

import math

from search.config.space import Choices, Knob, Scalar, values_of

PORTFOLIO: tuple[dict[str, float], ...] = (
    {"learning_rate": 1e-4, "dropout": 0.1, "dense_units": 0, "unfrozen_layers": 62},
    # Without unfrozen layers the learning rate counts only where a space lacks that choice, and 31 become the nearest.
    {"learning_rate": 1e-4, "dropout": 0.1, "dense_units": 0, "unfrozen_layers": 0},
)
"""Chosen by `python -m tests.benchmarks.bench_portfolio choose` (tests/benchmarks/LOG.md), for heads on several depths
that begin with the probe. The first does best alone, each further one adds most to those before it."""


def portfolio(space: dict[str, Knob]) -> tuple[dict[str, Scalar], ...]:
    """Return the portfolio as far as it lies in a space: every value legal there, no configuration twice.

    A knob that is not searched is left out. A value that is not in the space becomes the nearest one that is, by ratio
    for learning rates.
    """
    points: list[dict[str, Scalar]] = []
    for whole in PORTFOLIO:
        point = {name: _nearest(name, knob, whole[name]) for name, knob in space.items() if name in whole}
        if point and point not in points:
            points.append(point)
    return tuple(points)


def _nearest(name: str, knob: Knob, value: float) -> Scalar:
    legal = values_of(name, knob)
    if legal is None:  # A range without steps.
        assert not isinstance(knob, Choices)
        return min(max(value, knob.low), knob.high)
    scale = math.log if name == "learning_rate" else float
    return min(legal, key=lambda one: abs(scale(float(one)) - scale(value)))
