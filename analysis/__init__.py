"""Data frames, report and comparison of experiments.

>>> import analysis
>>> frames = analysis.load("runs/demo")
>>> frames.trials.sort_values("value")
>>> frames.trials.attrs["columns"]["seconds"]
>>> analysis.load("runs/a", "runs/b").epochs.groupby("experiment")["val_macro_f1"].max()
>>> analysis.side_by_side("runs/a", "runs/b")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.frames import Frames


def load(*experiments: Path | str) -> Frames:
    """The trials and epochs of one or more experiments as pandas frames; see `analysis.data.frames` for the columns.

    Of several, the rows stand below each other, and a first column `experiment` says whose they are.

    Raises:
        UserError: a folder holds no sweep or is given twice, or one of its records is damaged.
    """
    # pandas and Optuna take a second to import, which `python -m analysis --help` must not pay.
    from analysis.compare.candidates import distinct
    from analysis.data.experiment import read
    from analysis.data.frames import frames, together

    if len(experiments) == 1:
        return frames(read(experiments[0]))
    return together({label: frames(read(folder)) for label, folder in distinct(experiments).items()})


def side_by_side(*experiments: Path | str) -> pd.DataFrame:
    """A row per experiment or final model: seed, budget, scores, intervals; see `analysis.compare.candidates`.

    Raises:
        UserError: a folder holds neither or is given twice, or one of its records is damaged.
    """
    from analysis.compare.candidates import candidates, scoreboard

    return scoreboard(candidates(experiments))
