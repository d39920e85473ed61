"""What the searcher, the scheduler and the callbacks of one running sweep know together."""

import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from trainables.errors import UserError

StopKind = Literal["max_epochs", "early_stopping", "asha", "hyperband", "median", "failed", "budget", "interrupted"]
STOPPED_BY_SCHEDULER = ("asha", "hyperband", "median", "budget", "interrupted")


@dataclass(frozen=True)
class Stop:
    """Why a trial ended, kept in the study as the user attribute `stop`.

    `rung` (epoch), `value`, `cutoff` and `competed` (how many earlier results the cutoff was made of) say what a
    scheduler compared; they are None for the other kinds.
    """

    kind: StopKind
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


@dataclass
class SweepState:
    """The one mutable state of a running sweep: decisions by trial number, and the request to end.

    The scheduler writes `stops`, the searcher turns them into `trial_ends`, the callbacks read both. `error` ends the
    sweep as a failure; `ending` ends it cleanly, with the best so far handed over: running trials may finish their
    epochs until `cut_at` (monotonic seconds). `finished` says why no further trial is begun,
    while those that run go on.
    """

    stops: dict[int, Stop] = field(default_factory=dict)
    trial_ends: dict[int, TrialEnd] = field(default_factory=dict)
    error: UserError | None = None
    ending: Stop | None = None
    cut_at: float = math.inf
    finished: str | None = None

    def fail(self, error: UserError) -> None:
        """Stop everything: the sweep cannot go on."""
        self.error = self.error or error

    def end(self, kind: Literal["budget", "interrupted"], reason: str, grace: float = 0.0) -> None:
        """Stop everything cleanly; running trials end with this reason, after their epoch if it ends within `grace`.

        Args:
            grace: in seconds.
        """
        self.ending = self.ending or Stop(kind, None, reason)
        self.cut_at = min(self.cut_at, time.monotonic() + grace)

    @property
    def cutting(self) -> bool:
        """Whether the epochs in progress are to be cut now."""
        return self.error is not None or time.monotonic() >= self.cut_at

    @property
    def stopping(self) -> bool:
        """Whether no further epoch should be started."""
        return self.error is not None or self.ending is not None
