"""Show a sweep as it runs: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from search.callbacks.machine_use import MachineUse
from search.callbacks.progress_table import (
    _STYLES,
    SweepView,
    TrialView,
    _figure,
    _plain,
    failed,
    rung_words,
    rungs_of,
    table,
)
from search.config.schema import SweepConfig
from search.config.space import knob_value
from search.config.trial_plan import trial_number
from search.forecast.forecast import duration, expected_epochs
from search.study.study import best_value, cost_of
from search.tune.state import SweepState

_REFRESH_SECONDS = 0.5
# Of a long sweep with short epochs, plain output gets no more epoch lines than this.
_SECONDS_BETWEEN_EPOCH_LINES = 5.0


class Progress(TrialProgressCallback):
    """Driver-side display; `console` is where to (standard output unless given).

    A subclass of Ray's own display, because Ray adds that one unless it finds one.
    """

    def __init__(
        self, config: SweepConfig, concurrent: int, sweep_state: SweepState, console: Console | None = None
    ) -> None:
        super().__init__()
        rungs = rungs_of(config)
        sizes = config.trials, config.max_epochs, concurrent
        epochs = expected_epochs(config.early_stopping, config.max_epochs, config.trials, config.learns)
        self._view = SweepView(config.metric, config.mode, *sizes, rungs, config.cost, epochs)
        self._knobs = list(config.space)
        self._sweep_state = sweep_state
        self._console = console
        self._live: Live | None = None
        self._started = 0.0
        self._begun: dict[int, float] = {}
        self._seconds_of_ended = 0.0
        self._fill_seconds = 0.0
        self._drawn = 0.0
        self._last_line = 0.0
        self._machine: MachineUse | None = None

    def restore(self, earlier: Sequence[FrozenTrial]) -> None:
        """Show the trials that ended before this driver began."""
        for trial in earlier:
            if trial.state.is_finished():
                params = {knob: trial.params.get(knob) for knob in self._knobs}
                row = TrialView(trial.number, params, trial.state.name, trial.last_step or 0)
                stop = trial.user_attrs.get("stop", {})
                row.best, row.why, row.stopped_at = best_value(trial), stop.get("reason", ""), stop.get("rung")
                row.value, row.cost = trial.intermediate_values.get(row.epoch), cost_of(trial)
                self._view.rows[trial.number] = row

    def setup(self, *_: Any, **__: Any) -> None:
        """Begin to show."""
        self._started = time.monotonic()
        # Made here, not in __init__: Ray pickles its callbacks before the sweep begins.
        self._console = self._console or Console(file=sys.stdout)
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()
            self._machine = MachineUse()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Add the trial's row."""
        number = trial_number(trial)
        if number not in self._view.rows:
            row = self._row(trial)
            self._begun[number] = time.monotonic()
            self._say(f"trial {number} starts: {_words(row.params)}")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Show the epoch."""
        row = self._row(trial)
        if result.get("checkpoint_note"):
            self._say(f"trial {row.number}: {result['checkpoint_note']}")
        self._view.epochs_here += 1
        self._fill_seconds += result.get("store_fill_seconds") or 0.0
        row.epoch, row.value = result.get("epoch", row.epoch), result.get(self._view.metric)
        row.cost = result.get(self._view.cost, row.cost) if self._view.cost else row.cost
        if isinstance(row.value, float) and row.value == row.value:
            better = max if self._view.mode == "max" else min
            row.best = row.value if row.best is None else better(row.best, row.value)
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_EPOCH_LINES:
            self._last_line = now
            at = f"{row.epoch}/{self._view.max_epochs}"
            self._say(f"trial {row.number} epoch {at}: {self._view.metric} {_figure(row.value)}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Show how the trial ended."""
        number = trial_number(trial)
        row, trial_end = self._row(trial), self._sweep_state.trial_ends.get(number)
        if trial_end is None:
            return
        row.state, row.best, row.why = trial_end.state, trial_end.best, trial_end.stop.reason
        row.stopped_at, row.cost = trial_end.stop.rung, trial_end.cost
        self._seconds_of_ended += time.monotonic() - self._begun.pop(number, time.monotonic())
        best = self._view.best()
        so_far = f"best so far {_figure(best.best)} (trial {best.number})" if best else "nothing to hand over yet"
        cost = f"{self._view.cost} {row.cost:.2f}, " if self._view.cost else ""
        self._say(
            f"trial {number} {row.state} after epoch {row.epoch}: best {self._view.metric} {_figure(row.best)}, {cost}"
            f"{row.why}; {self._view.ended()}/{self._view.trials} trials, {so_far}, {self._clock()}"
        )

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        """Draw the table anew, twice a second at most."""
        if self._live is not None and time.monotonic() - self._drawn >= _REFRESH_SECONDS:
            self._draw(self._live)

    def on_experiment_end(self, trials: list[Trial], **_: Any) -> None:
        """Draw the last state and give the terminal back."""
        if self._live is not None:
            self._draw(self._live)
            self._live.stop()
            self._live = None

    def _row(self, trial: Trial) -> TrialView:
        """The trial's row, also of one that failed before it started."""
        number = trial_number(trial)
        if number not in self._view.rows:
            self._view.rows[number] = TrialView(number, {knob: knob_value(trial.config, knob) for knob in self._knobs})
        return self._view.rows[number]

    def _draw(self, live: Live) -> None:
        self._drawn = time.monotonic()
        failures = [Text(line, style=_STYLES["FAIL"]) for line in failed(self._view)]
        footer = [line for line in (self._footer(), rung_words(self._view), self._use()) if line]
        live.update(Group(table(self._view, self._knobs), *failures, *map(Text, footer)), refresh=True)

    def _footer(self) -> str:
        best = self._view.best()
        so_far = f"best {_figure(best.best)} (trial {best.number})" if best else "no result yet"
        front = f", {len(self._view.front())} on the front" if self._view.cost else ""
        return f"{self._view.ended()} of {self._view.trials} trials ended, {so_far}{front}, {self._clock()}"

    def _use(self) -> str:
        busy = f"{len(self._view.running())} of {self._view.slots()} slots busy"
        return f"{busy}; this machine: {self._machine.words()}" if self._machine else busy

    def _clock(self) -> str:
        now = time.monotonic()
        spent = self._seconds_of_ended + sum(now - begun for begun in self._begun.values())
        left = self._view.seconds_left(max(0.0, spent - self._fill_seconds))
        after = "" if left is None else f", about {duration(left)} left"
        return f"{duration(now - self._started)} elapsed{after}"

    def _say(self, line: str) -> None:
        if self._live is None and self._console is not None:
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def _words(params: dict[str, Any]) -> str:
    return ", ".join(f"{knob} {_plain(value)}" for knob, value in params.items())
