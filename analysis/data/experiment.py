"""Reader of an experiment's records, with one-line errors."""

from pathlib import Path

import yaml

from search.records import Experiment, read_experiment
from trainables.errors import UserError
from trainables.files.experiment import SWEEP_FILE

_NEEDED = ("name", "metric", "mode", "space", "dataset")


def read(folder: Path | str) -> Experiment:
    """Read the records of a sweep.

    Raises:
        UserError: the folder holds no sweep, or one of its records is damaged.
    """
    try:
        experiment = read_experiment(folder)
        missing = [key for key in _NEEDED if key not in experiment.sweep]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        # A person has edited a record, or the disk lost a part of it: any parser may be the one that stumbles.
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"a record in {folder} is damaged ({what}); restore it, or run the sweep again") from None
    if missing:
        raise UserError(f"{Path(folder) / SWEEP_FILE} lacks {missing[0]!r}, which `python -m search run` writes")
    return experiment
