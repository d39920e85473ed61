"""Why and how a trial ended."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from search.config.registry import STOP_RULES

STOPPED_BY_SCHEDULER = (*STOP_RULES, "budget", "interrupted")


@dataclass(frozen=True)
class Stop:
    """Why a trial ended, kept in the study as the user attribute `stop`.

    `kind` is max_epochs, early_stopping (the trial's own patience), failed, or one of STOPPED_BY_SCHEDULER.
    `rung` (epoch), `value`, `cutoff` and `competed` (how many earlier results the cutoff was made of) say what a
    scheduler compared; they are None for the other kinds.
    """

    kind: str
    epoch: int | None
    reason: str
    rung: int | None = None
    value: float | None = None
    cutoff: float | None = None
    competed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what is known, for JSON."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended: its Optuna state, why, and the best objective over its epochs (None without a result).

    `cost` is what its model costs, 0 where the sweep does not weigh that.
    """

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    stop: Stop
    best: float | None
    best_epoch: int | None
    cost: float = 0.0
