"""search/tune/run_times.py: what counts as a trial's time."""

from search.tune.run_times import RunTimes


def test_a_trial_counts_while_it_runs_and_not_while_it_waits() -> None:
    now = 0.0
    times = RunTimes(lambda: now)
    assert (times.of(0), times.total()) == (0.0, 0.0)
    now = 10.0  # Suggested long ago, and running from here on.
    times.begin(0)
    now = 14.0
    times.pause(0)  # Its worker is lost.
    now = 20.0
    assert times.of(0) == 4.0
    times.begin(0), times.begin(1)
    now = 23.0
    times.add(0, 2.0)
    assert (times.of(0), times.of(1), times.total()) == (9.0, 3.0, 12.0)
    times.pause(0), times.pause(1), times.pause(1)
    now = 99.0
    assert (times.of(0), times.of(1), times.total()) == (9.0, 3.0, 12.0)
