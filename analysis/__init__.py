"""Say what happened: data frames, plots, the report.

>>> import analysis
>>> frames = analysis.load("runs/demo")
>>> frames.trials.sort_values("value")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.frames import Frames


def load(experiment: Path | str) -> Frames:
    """The trials and epochs of an experiment as pandas frames; see `analysis.frames` for the columns.

    Raises:
        SweepError: the folder holds no sweep, or one of its records is damaged.
    """
    # pandas and Optuna take a second to import, which `python -m analysis --help` must not pay.
    from analysis.frames import load as load_frames

    return load_frames(experiment)
