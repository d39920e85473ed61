"""search/callbacks/progress.py: what a person sees."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from search.callbacks.progress import Progress
from search.callbacks.progress_table import SweepView, TrialView, drawing, shown, table
from search.forecast.forecast import duration
from search.study.trial_end import Stop, TrialEnd
from search.tune.observers import EpochResult, ObservedTrial
from tests.probe_example import probe_record
from tests.search_tests.example import sweep
from trainables.config import TrialConfig


def trial(number: int) -> ObservedTrial:
    return ObservedTrial(number, TrialConfig(learning_rate=3e-4).model_dump())


def played(tmp_path: Path, *, terminal: bool) -> tuple[Progress, str]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=140, height=50)
    progress = Progress(sweep(tmp_path), 2, console)
    progress.opened()
    for number in (0, 1):
        progress.began(trial(number))
        for epoch, value in enumerate([0.5, 0.4], start=1):
            progress.epoch(trial(number), EpochResult(epoch, value, {}))
            progress.step()
    progress.ended(trial(0), TrialEnd("PRUNED", Stop("asha", 2, "it was too low", rung=1), 0.5, 1))
    progress.ended(trial(2), TrialEnd("FAIL", Stop("failed", None, "RuntimeError: no"), None, None))
    progress.closed()
    return progress, out.getvalue()


def test_without_a_terminal_it_prints_plain_lines(tmp_path: Path) -> None:
    _, text = played(tmp_path, terminal=False)
    lines = text.splitlines()
    assert lines[0] == "trial 0 starts: learning_rate 0.0003, dropout 0.3, dense_units 256, unfrozen_layers 0"
    assert lines[1] == "trial 0 epoch 1/9: val_macro_f1 0.5000"
    ended = next(line for line in lines if line.startswith("trial 0 PRUNED"))
    assert ended.startswith("trial 0 PRUNED after epoch 2: best val_macro_f1 0.5000, it was too low; 1/6 trials, ")
    assert "best so far 0.5000 (trial 0)" in ended and "elapsed" in ended and "left" in ended
    assert any(line.startswith("trial 2 FAIL after epoch 0: best val_macro_f1 –, RuntimeError: no") for line in lines)
    assert "\x1b" not in text


@pytest.mark.parametrize("cost", [None, "model_mb"])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_no_cell_is_cut_and_what_matters_most_stays_however_narrow_the_terminal(width: int, cost: str | None) -> None:
    knobs = ["learning_rate", "dropout", "dense_units", "unfrozen_layers", "head_learning_rate"]
    values = [0.000123, 0.35, 512, 41, 0.00321]
    view = SweepView("val_macro_f1", "max", 4, 27, 2, cost=cost)
    states = ("COMPLETE", "PRUNED", "DIVERGED", "RUNNING")
    for number, state in enumerate(states):
        row = TrialView(number, dict(zip(knobs, values, strict=True)), state, 27, 0.5123, 0.5 + number / 100)
        view.rows[number] = row
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(table(view, knobs, width))
    lines = captured.get().splitlines()
    assert len(lines) == 5 and max(map(len, lines)) <= width and "…" not in captured.get()
    heads = lines[0].split()
    assert heads[:3] == ["trial", "state", "epoch"] and "best" in heads
    assert all(state in line and "27/27" in line for state, line in zip(states, lines[1:], strict=True))
    assert ("rate" in heads or "learning_rate" in heads) == (width >= 60 or cost is None)
    assert ("learning_rate" in heads) == (width == 140)


def test_the_clock_begins_with_the_command(tmp_path: Path) -> None:
    out = io.StringIO()
    progress = Progress(sweep(tmp_path), 2, Console(file=out, width=140), started=time.monotonic() - 125)
    progress.opened()
    progress.began(trial(0))
    progress.ended(trial(0), TrialEnd("COMPLETE", Stop("max_epochs", 9, "the last"), 0.5, 1))
    assert "2m05s elapsed" in out.getvalue()


def test_on_a_terminal_it_draws_a_table(tmp_path: Path) -> None:
    _, text = played(tmp_path, terminal=True)
    for words in (
        "trial",
        "state",
        "epoch",
        "learning_rate",
        "unfrozen_layers",
        "val_macro_f1",
        "PRUNED",
        "RUNNING",
        "2/9",
    ):
        assert words in text
    assert "2 of 6 trials ended" in text
    assert "starts:" not in text
    assert "trial 2 failed: RuntimeError: no" in text
    assert "rungs: epoch 1: 2 reached, 1 stopped; epoch 3: 0 reached, 0 stopped" in text
    assert "1 of 2 slots busy; this machine: CPU " in text


def test_with_two_objectives_each_row_says_what_its_model_costs_and_the_front_is_counted(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=160)
    progress = Progress(sweep(tmp_path, objectives=["val_macro_f1", "model_mb"]), 1, console)
    progress.opened()
    for number, (value, cost) in enumerate([(0.5, 87.25), (0.6, 91.5), (0.4, 89.5)]):
        progress.began(trial(number))
        progress.epoch(trial(number), EpochResult(1, value, {"model_mb": cost}))
    progress.closed()
    text = out.getvalue()
    assert "model_mb" in text and "87.2" in text and "91.5" in text
    assert "best 0.6000 (trial 1), 2 on the front" in text
    assert [row.number for row in progress._view.front()] == [1, 0]


def rows(*trials: tuple[int, str, float | None]) -> SweepView:
    view = SweepView("val_macro_f1", "max", trials=100, max_epochs=9, concurrent=2)
    view.rows = {n: TrialView(n, {"dropout": 0.25, "backbone": "b"}, state, 3, best, best) for n, state, best in trials}
    return view


def test_the_best_is_the_best_value_of_a_trial_that_did_not_fail() -> None:
    view = rows((0, "COMPLETE", 0.3), (1, "FAIL", 0.9), (2, "RUNNING", 0.4), (3, "PRUNED", None), (4, "DIVERGED", 0.9))
    assert view.best() is view.rows[2]
    view.mode = "min"
    assert view.best() is view.rows[0]
    assert SweepView("m", "max", 1, 1, 1).best() is None


def test_what_the_probe_has_stands_beside_the_best(tmp_path: Path) -> None:
    out = io.StringIO()
    progress = Progress(sweep(tmp_path), 1, Console(file=out, width=200), probe=probe_record())
    progress.opened()
    progress.ended(trial(0), TrialEnd("FAIL", Stop("failed", None, "RuntimeError: no"), None, None))
    progress.ended(trial(1), TrialEnd("COMPLETE", Stop("max_epochs", 2, "ran"), 0.9, 2))
    lines = out.getvalue().splitlines()
    assert "1/6 trials, no result yet (the probe has 0.8650), " in lines[0]
    assert "best so far 0.9000 (trial 1; the probe has 0.8650), " in lines[1]
    assert SweepView.of(sweep(tmp_path, metric="val_loss"), 1, probe_record().value("val_loss")).probe is None


def test_of_a_long_sweep_the_best_the_running_and_the_latest_are_shown() -> None:
    view = rows(*((n, "RUNNING" if n in (10, 95) else "PRUNED", 0.9 if n == 7 else 0.1) for n in range(96)))
    numbers = [row.number for row in shown(view)]
    assert len(numbers) == 24 and numbers == sorted(numbers)
    assert {7, 10, 95} <= set(numbers) and set(range(75, 95)) <= set(numbers)


def test_the_table_has_a_column_per_searched_knob_whatever_they_are() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(table(rows((0, "COMPLETE", 0.3)), ["dropout", "backbone"]))
    heading, row = out.getvalue().splitlines()
    assert heading.split() == ["trial", "state", "epoch", "dropout", "backbone", "val_macro_f1", "best"]
    assert row.split() == ["0", "COMPLETE", "3/9", "0.25", "b", "0.3000", "0.3000"]


def test_rungs_are_named_only_where_the_scheduler_has_them(tmp_path: Path) -> None:
    assert SweepView.of(sweep(tmp_path), 2).rungs == (1, 3)
    assert SweepView.of(sweep(tmp_path, early_stopping={"kind": "median"}), 2).rungs == ()
    out = io.StringIO()
    Console(file=out, width=100).print(drawing(rows((0, "COMPLETE", 0.3)), ["dropout"], "9s elapsed", "CPU 1 %"))
    assert "rungs" not in out.getvalue()


def test_time_left_follows_from_the_epochs_so_far_and_how_many_a_trial_is_expected_to_run() -> None:
    view = rows((0, "COMPLETE", 0.3), (1, "RUNNING", 0.1))
    assert view.seconds_left(60.0) is None
    view.epochs_here = 6
    # 10 s an epoch, two trials at once; the ended trial ran 3 epochs, the running one has.
    mean = (5 * 9 + 3) / 6
    assert view.seconds_left(60.0) == pytest.approx((98 * mean + mean - 3) * 10 / 2)
    view.expected_epochs = 3.0
    assert view.seconds_left(60.0) == pytest.approx(98 * 3 * 10 / 2)


def test_a_first_trial_that_ran_to_its_end_and_filled_the_store_is_not_taken_for_the_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, now = io.StringIO(), [0.0]
    monkeypatch.setattr("search.callbacks.progress.time.monotonic", lambda: now[0])
    progress = Progress(sweep(tmp_path, trials=100), 1, Console(file=out))
    progress.opened()
    progress.began(trial(0))
    for epoch in range(1, 10):
        now[0] += 20
        progress.epoch(trial(0), EpochResult(epoch, 0.5, {"store_fill_seconds": 10.0}))
    progress.ended(trial(0), TrialEnd("COMPLETE", Stop("max_epochs", None, "all epochs run"), 0.5, 9))
    left = progress._view.seconds_left(9 * 10.0)
    assert left is not None and 99 * 2 * 10 < left < 99 * 6 * 10
    assert f"3m00s elapsed, about {duration(left)} left" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.6, "1m00s"), (61, "1m01s"), (3600, "1h00m"), (7384.0, "2h03m")]
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_value_that_is_not_a_number_does_not_become_the_best(tmp_path: Path) -> None:
    progress = Progress(sweep(tmp_path), 1, Console(file=io.StringIO()))
    progress.opened()
    for epoch, value in ((1, float("nan")), (2, None)):
        progress.epoch(trial(0), EpochResult(epoch, value, {}))
    assert progress._view.best() is None


def test_a_note_of_a_trial_is_printed_and_epochs_of_the_driver_before_are_not_taken_for_fast_ones(
    tmp_path: Path,
) -> None:
    out = io.StringIO()
    progress = Progress(sweep(tmp_path), 1, Console(file=out, width=100))
    progress.opened()
    progress.began(trial(3))
    progress.noted(trial(3), "the checkpoint of epoch 2 is damaged")
    progress.epoch(trial(3), EpochResult(1, 0.5, {}, known=True))
    assert "trial 3: the checkpoint of epoch 2 is damaged\n" in out.getvalue()
    assert progress._view.seconds_left(60.0) is None
    progress.epoch(trial(3), EpochResult(2, 0.5, {}))
    assert progress._view.seconds_left(60.0) is not None
