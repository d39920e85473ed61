"""The live table of trials, as text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from search.config.registry import STOP_RULES
from search.config.schema import SweepConfig
from search.study.pareto import Mode, ScoredTrial, front

# A terminal holds no more; of a longer sweep, the best, the running and the latest trials are shown.
_ROWS = 24


_FAILURES = 3


_EXPECTED_TRIALS = 5


_STYLES = {"RUNNING": "cyan", "COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red"}


@dataclass
class TrialView:
    """What the table shows of a trial."""

    number: int
    params: dict[str, Any]
    state: str = "RUNNING"
    epoch: int = 0
    value: float | None = None
    best: float | None = None
    why: str = ""
    cost: float = 0.0
    stopped_at: int | None = None
    """The rung at which a scheduler stopped it."""


@dataclass
class SweepView:
    """What the table shows of the sweep; a plain value, so that drawing it can be tested without Ray."""

    metric: str
    mode: Mode
    trials: int
    max_epochs: int
    concurrent: int
    rungs: tuple[int, ...] = ()
    cost: str | None = None
    """What a model costs, by name, where the sweep weighs that."""
    expected_epochs: float | None = None
    """How many a trial is expected to run; `max_epochs` unless given."""
    rows: dict[int, TrialView] = field(default_factory=dict)
    epochs_here: int = 0
    """What this driver saw run."""

    def best(self) -> TrialView | None:
        """Return the trial with the best value so far."""
        return next(iter(self.front()), None)

    def front(self) -> list[TrialView]:
        """Return the trials that no other beats so far at a cost no higher; without costs, the best one alone."""
        scored = [
            ScoredTrial(row.number, row.best, row.cost)
            for row in self.rows.values()
            if row.best is not None and row.state != "FAIL"
        ]
        return [self.rows[member.number] for member in front(scored, self.mode)]

    def ended(self) -> int:
        """Count the trials that have ended."""
        return sum(row.state != "RUNNING" for row in self.rows.values())

    def running(self) -> list[TrialView]:
        """Return the trials that have begun and not ended."""
        return [row for row in self.rows.values() if row.state == "RUNNING"]

    def seconds_left(self, spent: float) -> float | None:
        """Estimate how long the sweep still takes; None before the first epoch.

        Args:
            spent: seconds that trials have run under this driver, added up, without those that filled the store: it is
                filled once.
        """
        if not self.epochs_here:
            return None
        # The first trials to end ran longest or shortest: what was expected counts as much as this many of them.
        ended = [row.epoch for row in self.rows.values() if row.state != "RUNNING"]
        expected = self.max_epochs if self.expected_epochs is None else self.expected_epochs
        mean = (_EXPECTED_TRIALS * expected + sum(ended)) / (_EXPECTED_TRIALS + len(ended))
        open_epochs = sum(max(mean - row.epoch, 0.0) for row in self.running())
        open_epochs += mean * max(0, self.trials - len(self.rows))
        return open_epochs * spent / self.epochs_here / self.slots()

    def slots(self) -> int:
        """Count the trials that can run at once, also on nodes that came after the sweep had begun."""
        return max(self.concurrent, len(self.running()))


def table(view: SweepView, knobs: Sequence[str]) -> Table:
    """Draw the trials: state, epoch, the searched knobs, the objective now and at its best, the model's cost."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    costs = [view.cost] if view.cost else []
    for heading in ("trial", "state", "epoch", *knobs, view.metric, "best", *costs):
        drawn.add_column(heading, justify="left" if heading == "state" else "right", no_wrap=True)
    best = {row.number for row in view.front()}
    for row in shown(view):
        drawn.add_row(
            str(row.number),
            Text(row.state, style=_STYLES.get(row.state, "")),
            f"{row.epoch}/{view.max_epochs}",
            *(_plain(row.params[knob]) for knob in knobs),
            _figure(row.value),
            Text(_figure(row.best), style="bold green" if row.number in best else ""),
            *(f"{row.cost:.1f}" for _ in costs),
        )
    return drawn


def rungs_of(config: SweepConfig) -> tuple[int, ...]:
    """Return the epochs at which the sweep's scheduler compares trials; none where it has no rungs."""
    stopping = config.early_stopping
    rungs = STOP_RULES[stopping.kind].rungs
    return tuple(rungs(stopping.grace_epochs, stopping.reduction_factor, config.max_epochs))


def rung_words(view: SweepView) -> str:
    """Say how many trials came to each rung and how many ended there."""
    parts = []
    for rung in view.rungs:
        reached = sum(row.epoch >= rung for row in view.rows.values())
        stopped = sum(row.stopped_at == rung for row in view.rows.values())
        parts.append(f"epoch {rung}: {reached} reached, {stopped} stopped")
    return f"rungs: {'; '.join(parts)}" if parts else ""


def failed(view: SweepView) -> list[str]:
    """Say why the latest trials that failed did."""
    rows = [row for row in view.rows.values() if row.state == "FAIL"]
    return [f"trial {row.number} failed: {row.why}" for row in rows[-_FAILURES:]]


def shown(view: SweepView) -> list[TrialView]:
    """Choose the rows: all of a short sweep; of a longer one the best, the running and the latest, by number."""
    rows = list(view.rows.values())
    if len(rows) <= _ROWS:
        return rows
    best = {row.number for row in view.front()}
    first = [row for row in rows if row.number in best or row.state == "RUNNING"][-_ROWS:]
    rest = [row for row in rows if row not in first][len(first) - _ROWS :] if len(first) < _ROWS else []
    return sorted([*first, *rest], key=lambda row: row.number)


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
