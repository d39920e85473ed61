"""Axis of a searched knob: values as numbers, scale, ticks."""

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis.render.wording import power_of_ten, setting, significant

FEW = 6  # a knob with at most this many values is drawn as that many places, evenly spaced


class KnobValues(NamedTuple):
    """One knob. `positions` are the values, or places in `categories` when the knob's values are words or switches."""

    knob: str
    positions: tuple[float, ...]
    categories: tuple[str, ...]
    log: bool

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest position; the same twice for a knob that never varied."""
        finite = [position for position in self.positions if math.isfinite(position)]
        return (min(finite), max(finite)) if finite else (0.0, 0.0)

    def scaled(self, positions: np.ndarray) -> np.ndarray:
        """Some positions, float64, on the drawn scale: 0 is the lowest of all, 1 the highest."""
        low, high = self.span
        if self.log:
            positions, low, high = np.log10(positions), math.log10(low), math.log10(high)
        scaled: np.ndarray = (positions - low) / ((high - low) or 1.0)
        return scaled


def knob_values(name: str, column: pd.Series, log: Collection[str]) -> KnobValues:
    """Read a `param_…` column; `log` names the knobs searched on a logarithmic scale."""
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and column.nunique() > FEW:
        return KnobValues(name, tuple(column.to_numpy(float).tolist()), (), name.removeprefix("param_") in log)
    known = sorted(column.dropna().unique().tolist(), key=float if numeric else str)
    places = {value: float(place) for place, value in enumerate(known)}
    positions = tuple(places.get(value, math.nan) for value in column.tolist())
    return KnobValues(name, positions, tuple(setting(value) for value in known), False)


def varied(trials: pd.DataFrame) -> list[str]:
    """The `param_…` columns that differ between trials."""
    return [name for name in map(str, trials) if name.startswith("param_") and trials[name].nunique() > 1]


def log_knobs(space: Mapping[str, Any]) -> set[str]:
    """The knobs of a sweep file's space that are searched on a logarithmic scale."""
    return {name for name, knob in space.items() if isinstance(knob, dict) and knob.get("log")}


def knob_axis(axes: Axes, knob: KnobValues) -> None:
    """Give the x axis the knob's scale and a few ticks."""
    axis = axes.xaxis
    if knob.categories:
        longest = max(len(word) for word in knob.categories)
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if longest > 5 else {}
        axis.set_ticks(range(len(knob.categories)), labels=knob.categories, **turned)
        axes.set_xlim(-0.6, len(knob.categories) - 0.4)
    elif knob.log:
        axes.set_xscale("log")
        low, high = knob.span
        few_decades = high < 100 * low  # powers of ten alone would be one or two ticks
        axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few_decades else (1.0,), numticks=5))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())

        def tick(value: float, _: int) -> str:
            return significant(value, 1) if few_decades else power_of_ten(round(math.log10(value))) if value > 0 else ""

        axis.set_major_formatter(FuncFormatter(tick))
    else:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
