"""How trials end, and the Pareto front over objective and model cost.

Without Optuna or Ray. One trial beats another when it is at least as good and costs no more. A sweep with one
objective is the same without costs: its front is its best trial.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from search.config.registry import STOP_RULES

STOPPED_BY_SCHEDULER = (*STOP_RULES, "budget", "interrupted")
STOPPED_EARLY = (*STOP_RULES, "early_stopping")
# The kind of stop of a trial whose loss or objective was not finite. Its configuration is to blame, not what happened
# around it, so the study has it as PRUNED: a bad end that samplers learn from, where they do not look at FAIL.
DIVERGED = "diverged"
# That of a trial whose model costs more than a constraint allows; samplers learn from that, too.
INFEASIBLE = "infeasible"
BAD_ENDS = (DIVERGED, INFEASIBLE)


@dataclass(frozen=True)
class Stop:
    """Why a trial ended, kept in the study as the user attribute `stop`.

    `kind` is max_epochs, early_stopping (the trial's own patience), failed, diverged, infeasible, or one of
    STOPPED_BY_SCHEDULER.
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
    """How a trial ended: `best` is over its epochs, None without a result; `cost` 0 where the sweep weighs none."""

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    stop: Stop
    best: float | None
    best_epoch: int | None
    cost: float = 0.0

    @property
    def shown(self) -> str:
        """The state as a user sees it: DIVERGED and INFEASIBLE apart from what was stopped early."""
        return shown_state(self.state, self.stop.kind)

    @property
    def result(self) -> float | None:
        """The best objective of a trial that ended well; what one did before it failed or diverged does not count."""
        return self.best if self.state != "FAIL" and self.stop.kind not in BAD_ENDS else None


def shown_state(state: str, stop_kind: str | None) -> str:
    """Return the state of a trial as users see it: Optuna's, DIVERGED or INFEASIBLE."""
    return stop_kind.upper() if stop_kind in BAD_ENDS else state


Mode = Literal["max", "min"]


class ScoredTrial(NamedTuple):
    """A trial's best objective, and what its model costs: 0 where the sweep weighs none."""

    number: int
    value: float
    cost: float = 0.0


def front(trials: Iterable[ScoredTrial], mode: Mode, depth: int = 1) -> list[ScoredTrial]:
    """Return the trials that fewer than `depth` others beat (of equals, the first wins), best value first."""
    sign = -1 if mode == "max" else 1
    kept: list[ScoredTrial] = []
    costs: list[float] = []  # Of all that are better, rising.
    for trial in sorted(trials, key=lambda trial: (sign * trial.value, trial.cost, trial.number)):
        if bisect_right(costs, trial.cost) < depth:
            kept.append(trial)
        insort(costs, trial.cost)
    return kept
