"""The hand-off from sweep to final stage: best.json and pareto/; and the probe's record."""

import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from trainables.config import TrialConfig
from trainables.files.output import write_json
from trainables.files.record import read_record

MOST_NAMED = 4  # depths
PROBE_METRICS = ("val_macro_f1", "val_accuracy", "val_cross_entropy")


class ProbeRecord(BaseModel):
    """The best classifier on the frozen backbone's features, which a sweep finds before its first trial.

    `depths` are the layers whose pooled outputs it takes; `strength` is C of logistic regression, shrinkage of
    discriminant analysis; the `val_` figures are of the one fitted on training photos alone. `config` are the settings
    of a trial that it shares (backbone, image size, weights …), `weights` what they meant where it was found; `stored`
    is what was computed for the trials in the same pass (see `features.StoreUse`); `tried` holds a row for each
    classifier that was compared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classifier: Literal["logistic regression", "discriminant analysis"]
    depths: tuple[str, ...]
    strength: float
    class_weight: Literal["balanced", "none"]
    val_macro_f1: float
    val_accuracy: float
    val_cross_entropy: float
    config: TrialConfig
    weights: dict[str, Any]
    dataset_fingerprint: str
    seconds: float
    stored: dict[str, int | float] = {}
    tried: tuple[dict[str, Any], ...] = ()

    def value(self, metric: str) -> float | None:
        """The probe's figure of that name; None of one that it does not have, such as a loss."""
        figures = {name: getattr(self, name) for name in PROBE_METRICS}
        return figures.get(metric)

    def as_epoch(self) -> dict[str, int | float]:
        """What it stored for the trials, named as in their epochs."""
        return {f"store_{name}": value for name, value in self.stored.items()}

    def words(self) -> str:
        """Say what it is, such as "logistic regression on mixed7 + mixed8"."""
        return f"{self.classifier} on {self.depth_words()}"

    def depth_words(self) -> str:
        """Say its depths, such as "mixed7 + mixed8"; of many, which follow each other, "mixed0 to mixed9"."""
        many = len(self.depths) > MOST_NAMED
        return f"{self.depths[0]} to {self.depths[-1]}" if many else " + ".join(self.depths)


class Confirmed(BaseModel):
    """A trial that was trained again: its own value, which it was chosen by, and those of further seeds or folds.

    `values` are of the epoch that was the trial's best; None where a run gave none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trial: int
    first: float
    values: tuple[float | None, ...]

    @property
    def whole(self) -> bool:
        """Whether every run gave a value."""
        return bool(self.values) and None not in self.values

    def mean(self, *, with_first: bool = False) -> float:
        """Mean of the values that there are; NaN of none."""
        values = [value for value in ((self.first,) if with_first else ()) + self.values if value is not None]
        return sum(values) / len(values) if values else math.nan


class Confirmation(BaseModel):
    """The best trials trained again, and the `chosen` one; `rows` begin with the sweep's first choice.

    `folds` above 1 judged the further runs, so that their values are of other photos than the trials' own. `half_width`
    is half of the 95 % interval of a mean of further values, with the deviation of all trials together; None where
    each has one alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    chosen: int
    rows: tuple[Confirmed, ...]
    folds: int = 1
    half_width: float | None = None

    @property
    def row(self) -> Confirmed:
        """The chosen trial's."""
        return next(row for row in self.rows if row.trial == self.chosen)

    def flattered(self, mode: str) -> float | None:
        """By how much the first choice's own value was better than the mean of its further ones; None without any."""
        gain = self.rows[0].first - self.rows[0].mean()
        return None if math.isnan(gain) else gain if mode == "max" else -gain


class Handoff(BaseModel):
    """The best configuration of a study, with all that is needed to train it again and to trace it.

    `score` is the objective's value (`metric`, `mode`) at `epoch`; `costs` are those that the sweep weighed too
    ({"model_mb": 88.9}); `dataset` is the prepared folder's absolute path or its URL, `dataset_fingerprint` its
    content; `git_commit` is None outside a checkout; `probe` and `confirmation` are None where the sweep had none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    config: TrialConfig
    metric: str
    mode: str
    score: float
    epoch: int
    costs: dict[str, float] = {}
    study: str
    trial: int
    dataset: str
    dataset_fingerprint: str
    weights: dict[str, Any]
    versions: dict[str, str]
    git_commit: str | None
    probe: ProbeRecord | None = None
    confirmation: Confirmation | None = None


def write_handoff(handoff: Handoff, file: Path) -> None:
    """Write best.json; a reader sees the old file or the whole new one."""
    write_json(handoff.model_dump(), file)


def read_handoff(file: Path) -> Handoff:
    """Read best.json.

    Raises:
        UserError: there is no such file, it is not JSON, or a key is missing or out of range.
    """
    hint = "`python -m search run` writes it when a sweep ends, and `resume` again"
    return read_record(file, Handoff, hint, "is not a hand-off of a sweep")
