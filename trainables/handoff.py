"""The hand-off from sweep to final stage: best.json and pareto/."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from trainables.config import TrialConfig
from trainables.errors import UserError, one_line
from trainables.files.output import write_json


class Handoff(BaseModel):
    """The best configuration of a study, with all that is needed to train it again and to trace it.

    `score` is the objective's value (`metric`, `mode`) at `epoch`; `costs` are those that the sweep weighed too
    ({"model_mb": 88.9}); `dataset` is the prepared folder's absolute path or its URL, `dataset_fingerprint` its
    content; `git_commit` is None outside a checkout.
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


def write_handoff(handoff: Handoff, file: Path) -> None:
    """Write best.json; a reader sees the old file or the whole new one."""
    write_json(handoff.model_dump(), file)


def read_handoff(file: Path) -> Handoff:
    """Read best.json.

    Raises:
        UserError: there is no such file, it is not JSON, or a key is missing or out of range.
    """
    try:
        return Handoff.model_validate_json(file.read_text())
    except FileNotFoundError:
        raise UserError(f"{file} does not exist; `python -m search run` writes it when a sweep ends") from None
    except ValidationError as error:
        raise UserError(f"{file} is not a hand-off of a sweep: {one_line(error, Handoff)}") from None
