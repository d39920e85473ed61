"""What a column of a frame holds, and how that travels with it."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd


class Column(NamedTuple):
    """Its unit ("" for none), and its meaning."""

    unit: str
    meaning: str


PARAMETER = Column("as in the sweep file", "value of a searched knob")


def documented(frame: pd.DataFrame, known: Mapping[str, Column]) -> pd.DataFrame:
    """The frame with `attrs["columns"]`: {column: {"unit", "meaning"}}. Parquet files keep it."""
    frame.attrs["columns"] = {str(name): known.get(str(name), PARAMETER)._asdict() for name in frame}
    return frame
