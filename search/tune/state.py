"""State of a running sweep, shared by searcher, scheduler and observers."""

import math
import time
from dataclasses import dataclass, field
from typing import Literal

from search.study.trial_end import Stop, TrialEnd
from search.tune.quarantine import Quarantine
from search.tune.run_times import RunTimes
from trainables.errors import UserError


@dataclass
class FailuresAlike:
    """Trials that failed for a reason outside of their configuration, by number, until a trial has a result.

    Two of them for one reason end the sweep (`search/tune/scheduler.py`). They stay open in the study, so that a resume
    runs them: a full disk costs no trial of the budget.
    """

    reasons: dict[int, str] = field(default_factory=dict)
    any_result: bool = False

    def add(self, number: int, reason: str) -> bool:
        """Note a failure; say whether another trial has failed for the same reason."""
        if self.any_result or not reason:
            return False
        same = any(other != number and reason == known for other, known in self.reasons.items())
        self.reasons[number] = reason
        return same

    def may_go_on(self, number: int) -> bool:
        """Whether this trial is to stay open for now."""
        return number in self.reasons and not self.any_result


@dataclass
class SweepState:
    """The one mutable state of a running sweep: decisions by trial number, and the request to end.

    The scheduler writes `stops`, the searcher turns them into `trial_ends`, the observers get both. `error` ends the
    sweep as a failure; `ending` ends it cleanly, with the best so far as its result: running trials may finish their
    epochs until `cut_at` (monotonic seconds). `finished` says why no further trial is begun, while those that run go
    on. `run_times` are the trials' under this driver. No trial runs on a node in `quarantine`. `alike` are failures
    for a reason outside of the trials' configurations, from before any trial had a result. `left_open` are trials that
    ended with Ray itself, of which the study is told nothing: a resume runs them.
    """

    stops: dict[int, Stop] = field(default_factory=dict)
    trial_ends: dict[int, TrialEnd] = field(default_factory=dict)
    error: UserError | None = None
    ending: Stop | None = None
    cut_at: float = math.inf
    finished: str | None = None
    run_times: RunTimes = field(default_factory=RunTimes)
    quarantine: Quarantine = field(default_factory=Quarantine)
    alike: FailuresAlike = field(default_factory=FailuresAlike)
    left_open: set[int] = field(default_factory=set)

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
