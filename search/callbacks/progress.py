"""Observer that shows a sweep: live table or plain lines."""

import math
import sys
import time
from collections.abc import Sequence

from optuna.trial import FrozenTrial
from rich.console import Console
from rich.live import Live

from search.callbacks.machine_use import MachineUse
from search.callbacks.progress_table import SweepView, TrialView, drawing, figure, knob_words
from search.config.schema import SweepConfig
from search.config.space import knob_value
from search.forecast.forecast import duration
from search.stopping.rules import better_of
from search.study.study import best_value, cost_of, state_of
from search.study.trial_end import TrialEnd
from search.tune.observers import EpochResult, ObservedTrial, Observer
from trainables.handoff import ProbeRecord

_REFRESH_SECONDS = 0.5
# Of a long sweep with short epochs, plain output gets no more epoch lines than this.
_SECONDS_BETWEEN_EPOCH_LINES = 5.0


class Progress(Observer):
    """Driver-side display; `console` is where to (standard output unless given)."""

    def __init__(
        self,
        config: SweepConfig,
        concurrent: int,
        console: Console | None = None,
        probe: ProbeRecord | None = None,
        started: float | None = None,
    ) -> None:
        """Args: `started` is when the command began, in monotonic seconds; None is when the trials begin."""
        self._view = SweepView.of(config, concurrent, None if probe is None else probe.value(config.metric))
        self._knobs = list(config.space)
        self._console = console or Console(file=sys.stdout)
        self._live: Live | None = None
        self._machine = MachineUse()
        self._started = started
        self._begun: dict[int, float] = {}
        self._seconds_of_ended = 0.0
        self._fill_seconds = 0.0
        self._drawn = 0.0
        self._last_line = 0.0

    def restore(self, trials: Sequence[FrozenTrial]) -> None:
        """Show the trials that ended before this driver began."""
        for trial in trials:
            if trial.state.is_finished():
                params = {knob: trial.params.get(knob) for knob in self._knobs}
                row = TrialView(trial.number, params, state_of(trial), trial.last_step or 0)
                stop = trial.user_attrs.get("stop", {})
                row.best, row.why, row.stopped_at = best_value(trial), stop.get("reason", ""), stop.get("rung")
                row.value, row.cost = trial.intermediate_values.get(row.epoch), cost_of(trial)
                self._view.rows[trial.number] = row

    def opened(self) -> None:
        """Begin to show."""
        self._started = time.monotonic() if self._started is None else self._started
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()

    def began(self, trial: ObservedTrial) -> None:
        """Add the trial's row."""
        if trial.number not in self._view.rows:
            row = self._row(trial)
            self._begun[trial.number] = time.monotonic()
            words = ", ".join(f"{knob} {knob_words(value)}" for knob, value in row.params.items())
            self._say(f"trial {trial.number} starts: {words}")

    def noted(self, trial: ObservedTrial, note: str) -> None:
        """Show the note."""
        self._say(f"trial {trial.number}: {note}")

    def epoch(self, trial: ObservedTrial, result: EpochResult) -> None:
        """Show the epoch."""
        row = self._row(trial)
        self._view.epochs_here += not result.known
        self._fill_seconds += result.reported.get("store_fill_seconds") or 0.0
        row.epoch, row.value = result.epoch, result.value
        row.cost = result.reported.get(self._view.cost, row.cost) if self._view.cost else row.cost
        if row.value is not None and math.isfinite(row.value):
            row.best = row.value if row.best is None else better_of(self._view.mode, row.best, row.value)
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_EPOCH_LINES:
            self._last_line = now
            at = f"{row.epoch}/{self._view.max_epochs}"
            self._say(f"trial {row.number} epoch {at}: {self._view.metric} {figure(row.value)}")

    def ended(self, trial: ObservedTrial, end: TrialEnd | None) -> None:
        """Show how the trial ended."""
        row = self._row(trial)
        if end is None:
            return
        row.state, row.best, row.why = end.shown, end.best, end.stop.reason
        row.stopped_at, row.cost = end.stop.rung, end.cost
        self._seconds_of_ended += time.monotonic() - self._begun.pop(trial.number, time.monotonic())
        so_far = self._view.best_words("best so far")
        cost = f"{self._view.cost} {row.cost:.2f}, " if self._view.cost else ""
        self._say(
            f"trial {row.number} {row.state} after epoch {row.epoch}: best {self._view.metric} {figure(row.best)}, "
            f"{cost}{row.why}; {self._view.ended()}/{self._view.trials} trials, {so_far}, {self._clock()}"
        )

    def step(self) -> None:
        """Draw the table anew, twice a second at most."""
        if self._live is not None and time.monotonic() - self._drawn >= _REFRESH_SECONDS:
            self._draw(self._live)

    def closed(self) -> None:
        """Draw the last state and give the terminal back."""
        if self._live is not None:
            self._draw(self._live)
            self._live.stop()
            self._live = None

    def _row(self, trial: ObservedTrial) -> TrialView:
        """The trial's row, also of one that failed before it started."""
        if trial.number not in self._view.rows:
            params = {knob: knob_value(trial.config, knob) for knob in self._knobs}
            self._view.rows[trial.number] = TrialView(trial.number, params)
        return self._view.rows[trial.number]

    def _draw(self, live: Live) -> None:
        self._drawn = time.monotonic()
        width = self._console.width
        live.update(drawing(self._view, self._knobs, self._clock(), self._machine.words(), width), refresh=True)

    def _clock(self) -> str:
        now = time.monotonic()
        spent = self._seconds_of_ended + sum(now - begun for begun in self._begun.values())
        left = self._view.seconds_left(max(0.0, spent - self._fill_seconds))
        after = "" if left is None else f", about {duration(left)} left"
        began = now if self._started is None else self._started
        return f"{duration(now - began)} elapsed{after}"

    def _say(self, line: str) -> None:
        if self._live is None:
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)
