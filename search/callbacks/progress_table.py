"""Live table of a sweep's trials: its values and its drawing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich.console import Group
from rich.table import Table
from rich.text import Text

from search.config.registry import STOP_RULES
from search.config.schema import SweepConfig
from search.forecast.forecast import expected_epochs
from search.study.trial_end import Mode, ScoredTrial, front

# A terminal holds no more; of a longer sweep, the best, the running and the latest trials are shown.
_ROWS = 24
_FAILURES = 3
# The first trials to end ran longest or shortest: what was expected counts as much as this many of them.
_EXPECTED_TRIALS = 5
_STYLES = {
    "RUNNING": "cyan",
    "COMPLETE": "green",
    "PRUNED": "yellow",
    "INFEASIBLE": "yellow",
    "DIVERGED": "red",
    "FAIL": "red",
}
# What a trial did before it ended so does not count; the word says how.
_BAD_ENDS = {"DIVERGED": "diverged", "FAIL": "failed", "INFEASIBLE": "costs too much"}

_BETWEEN = 2  # characters between columns
_SHORT = {
    **{"learning_rate": "rate", "head_learning_rate": "head rate", "dense_units": "units"},
    **{"unfrozen_layers": "unfrozen", "label_smoothing": "smoothing", "batch_size": "batch"},
}


@dataclass
class TrialView:
    """What the table shows of a trial; `stopped_at` is the rung at which a scheduler stopped it."""

    number: int
    params: dict[str, Any]
    state: str = "RUNNING"
    epoch: int = 0
    value: float | None = None
    best: float | None = None
    why: str = ""
    cost: float = 0.0
    stopped_at: int | None = None


@dataclass
class SweepView:
    """What the table shows of the sweep; a plain value, so that drawing it can be tested without Ray.

    `cost` is what a model costs, by name, where the sweep weighs that; `expected_epochs` how many a trial is expected
    to run (`max_epochs` unless given); `epochs_here` what this driver saw run; `probe` the probe's
    value of the metric, where it has one.
    """

    metric: str
    mode: Mode
    trials: int
    max_epochs: int
    concurrent: int
    rungs: tuple[int, ...] = ()
    cost: str | None = None
    expected_epochs: float | None = None
    probe: float | None = None
    rows: dict[int, TrialView] = field(default_factory=dict)
    epochs_here: int = 0

    @classmethod
    def of(cls, config: SweepConfig, concurrent: int, probe: float | None = None) -> "SweepView":
        """Return the view of a sweep before its first trial; without rungs where its scheduler has none."""
        rule, epochs = config.early_stopping, config.max_epochs
        rungs = tuple(STOP_RULES[rule.kind].rungs(rule.grace_epochs, rule.reduction_factor, epochs))
        expected = expected_epochs(rule, epochs, config.trials, config.learns)
        return cls(config.metric, config.mode, config.trials, epochs, concurrent, rungs, config.cost, expected, probe)

    def best(self) -> TrialView | None:
        """Return the trial with the best value so far."""
        return next(iter(self.front()), None)

    def best_words(self, best_so_far: str) -> str:
        """Say the best value after the words `best_so_far`, whose it is, and what the probe has."""
        best, probe = self.best(), "" if self.probe is None else f"the probe has {figure(self.probe)}"
        if best is None:
            return f"no result yet ({probe})" if probe else "no result yet"
        return f"{best_so_far} {figure(best.best)} ({'; '.join(filter(None, [f'trial {best.number}', probe]))})"

    def front(self) -> list[TrialView]:
        """Return the trials that no other beats so far at a cost no higher; without costs, the best one alone."""
        scored = [
            ScoredTrial(row.number, row.best, row.cost)
            for row in self.rows.values()
            if row.best is not None and row.state not in _BAD_ENDS
        ]
        return [self.rows[member.number] for member in front(scored, self.mode)]

    def ended(self) -> int:
        """Count the trials that have ended."""
        return sum(row.state != "RUNNING" for row in self.rows.values())

    def running(self) -> list[TrialView]:
        """Return the trials that have begun and not ended."""
        return [row for row in self.rows.values() if row.state == "RUNNING"]

    def slots(self) -> int:
        """Count the trials that can run at once, also on nodes that came after the sweep had begun."""
        return max(self.concurrent, len(self.running()))

    def seconds_left(self, spent: float) -> float | None:
        """Estimate how long the sweep still takes; None before the first epoch.

        Args:
            spent: seconds that trials have run under this driver, added up, without those that filled the store: it is
                filled once.
        """
        if not self.epochs_here:
            return None
        ended = [row.epoch for row in self.rows.values() if row.state != "RUNNING"]
        expected = self.max_epochs if self.expected_epochs is None else self.expected_epochs
        mean = (_EXPECTED_TRIALS * expected + sum(ended)) / (_EXPECTED_TRIALS + len(ended))
        open_epochs = sum(max(mean - row.epoch, 0.0) for row in self.running())
        open_epochs += mean * max(0, self.trials - len(self.rows))
        return open_epochs * spent / self.epochs_here / self.slots()


def drawing(view: SweepView, knobs: Sequence[str], clock: str, machine: str, width: int = 200) -> Group:
    """Draw the trials, why the latest failures failed, and in words the sweep, its rungs and the machine's use.

    Args:
        width: of the terminal, in characters.
    """
    failures = [row for row in view.rows.values() if row.state in _BAD_ENDS][-_FAILURES:]
    members = f", {len(view.front())} on the front" if view.cost else ""
    lines = [f"{view.ended()} of {view.trials} trials ended, {view.best_words('best')}{members}, {clock}"]
    if view.rungs:
        lines.append(f"rungs: {'; '.join(_rung_words(view, rung) for rung in view.rungs)}")
    lines.append(f"{len(view.running())} of {view.slots()} slots busy; this machine: {machine}")
    return Group(
        table(view, knobs, width),
        *(Text(f"trial {row.number} {_BAD_ENDS[row.state]}: {row.why}", style=_STYLES[row.state]) for row in failures),
        *map(Text, lines),
    )


class _Column(NamedTuple):
    """A column: `places` decides which go first where there is no room for all, the highest."""

    heading: str
    cells: list[Text]
    places: int = 0
    left: bool = False

    @property
    def width(self) -> int:
        """Characters of its widest cell."""
        return max(len(self.heading), *(len(cell) for cell in self.cells), 0)


def table(view: SweepView, knobs: Sequence[str], width: int = 200) -> Table:
    """Draw the trials: state, epoch, the searched knobs, the objective now and at its best, the model's cost.

    Where `width` characters are not enough, names of knobs are shortened; where they still are not, whole columns are
    left out rather than cells cut: the objective now, then the knobs from the last on, then the cost.
    """
    rows, best = shown(view), {row.number for row in view.front()}
    costs = [_Column(view.cost, [Text(f"{row.cost:.1f}") for row in rows], 1)] if view.cost else []
    columns = [
        _Column("trial", [Text(str(row.number)) for row in rows]),
        _Column("state", [Text(row.state, style=_STYLES.get(row.state, "")) for row in rows], left=True),
        _Column("epoch", [Text(f"{row.epoch}/{view.max_epochs}") for row in rows]),
        *(
            _Column(knob, [Text(knob_words(row.params[knob])) for row in rows], 2 + place)
            for place, knob in enumerate(knobs)
        ),
        _Column(view.metric, [Text(figure(row.value)) for row in rows], 2 + len(knobs)),
        _Column("best", [Text(figure(row.best), "bold green" if row.number in best else "") for row in rows]),
        *costs,
    ]
    if _width(columns) > width:
        columns = [column._replace(heading=_SHORT.get(column.heading, column.heading)) for column in columns]
    while _width(columns) > width and (last := max(columns, key=lambda column: column.places)).places:
        columns.remove(last)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column.heading, justify="left" if column.left else "right", no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        drawn.add_row(*cells)
    return drawn


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width + _BETWEEN for column in columns) - _BETWEEN


def shown(view: SweepView) -> list[TrialView]:
    """Choose the rows: all of a short sweep; of a longer one the best, the running and the latest, by number."""
    rows = list(view.rows.values())
    if len(rows) <= _ROWS:
        return rows
    best = {row.number for row in view.front()}
    first = [row for row in rows if row.number in best or row.state == "RUNNING"][-_ROWS:]
    rest = [row for row in rows if row not in first][len(first) - _ROWS :] if len(first) < _ROWS else []
    return sorted([*first, *rest], key=lambda row: row.number)


def knob_words(value: Any) -> str:
    """Write a knob's value in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def figure(value: float | None) -> str:
    """Write an objective."""
    return "–" if value is None else f"{value:.4f}"


def _rung_words(view: SweepView, rung: int) -> str:
    reached = sum(row.epoch >= rung for row in view.rows.values())
    stopped = sum(row.stopped_at == rung for row in view.rows.values())
    return f"epoch {rung}: {reached} reached, {stopped} stopped"
