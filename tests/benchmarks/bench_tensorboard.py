"""How long TensorBoard takes to show a sweep: from its start until a browser shows every trial in the HParams table.

Run:  python -m tests.benchmarks.bench_tensorboard --trials 20 200

The event files are written by search/callbacks/tensorboard.py itself, as a sweep of that many trials would: a third of
them run for all epochs, the others are stopped early. The pages are opened in Chromium by tests/browser.py. Whatever
else the machine does is in the times: compare the rows of one run.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analysis.dashboard import LOOPBACK, tensorboard, wait_until_it_answers
from search.callbacks.tensorboard import TensorBoardRuns
from search.tune.observers import EpochResult, ObservedTrial
from tests.browser import Browser, open_browser
from tests.search_tests.synthetic import curve
from trainables.config import TrialConfig

KNOBS = ["learning_rate", "dropout", "dense_units", "unfrozen_layers"]
STOPPED_AFTER = 3  # epochs
PATIENCE = 600  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--epochs", type=int, default=9)
    arguments = parser.parse_args()
    print("seconds, counted from the start of TensorBoard for the HParams table, from opening the page for the others")
    print(f"{'trials':>6} {'MB':>6} {'answers':>8} {'HParams':>8} {'again':>6} {'layout':>7}")
    for trials in arguments.trials:
        with tempfile.TemporaryDirectory() as folder:
            write_runs(Path(folder), trials, arguments.epochs)
            _measure(Path(folder), trials)


def write_runs(experiment: Path, trials: int, epochs: int) -> None:
    """Write the TensorBoard runs of a sweep that never took place."""
    runs = TensorBoardRuns(experiment, "val_macro_f1", KNOBS)
    generator = np.random.default_rng(0)
    for number in range(trials):
        config = TrialConfig(
            learning_rate=10 ** generator.uniform(-5, -2),
            dropout=generator.uniform(0.1, 0.6),
            dense_units=int(generator.choice([64, 128, 256, 512])),
            unfrozen_layers=int(generator.choice([0, 31, 62])),
            epochs=epochs,
            seed=number,
        ).model_dump()
        trial = ObservedTrial(number, config)
        runs.began(trial)
        for epoch, score in enumerate(curve(config)[: epochs if number % 3 == 0 else STOPPED_AFTER], start=1):
            runs.epoch(trial, EpochResult(epoch, score, _result(epoch, score, config["learning_rate"])))
        runs.ended(trial, None)


def _result(epoch: int, score: float, rate: float) -> dict[str, float]:
    """All that a trial reports of an epoch and TensorBoard is given."""
    result = {"epoch": epoch, "learning_rate": rate}
    for split, factor in (("train", 1.1), ("val", 1.0)):
        values = {"loss": 4 - 4 * score, "cross_entropy": 3 - 3 * score, "accuracy": score, "macro_f1": score}
        result |= {f"{split}_{name}": factor * value for name, value in values.items()}
    return result


def _measure(experiment: Path, trials: int) -> None:
    size = sum(file.stat().st_size for file in experiment.rglob("*") if file.is_file()) / 1e6
    with open_browser(experiment / "profile") as browser:
        started = time.monotonic()
        with tensorboard(experiment, LOOPBACK) as server:
            wait_until_it_answers(server, LOOPBACK)
            answers = time.monotonic() - started
            address = f"http://{LOOPBACK}:{server.port}/"
            _open(browser, f"{address}#hparams", lambda: _lists(browser, trials))
            table = time.monotonic() - started
            again = _open(browser, f"{address}#hparams", lambda: _lists(browser, trials))
            # With more than 40 runs TensorBoard draws none before some are ticked: the list of runs is what it shows.
            last = f"trial_{trials - 1:04d}"
            layout = _open(browser, f"{address}#custom_scalars", lambda: last in browser.texts())
    print(f"{trials:6} {size:6.2f} {answers:8.1f} {table:8.1f} {again:6.1f} {layout:7.1f}", flush=True)


def _open(browser: Browser, address: str, there: Callable[[], bool]) -> float:
    """Open a page that was not there before and return the seconds until it shows what it should."""
    browser.open("about:blank")
    started = time.monotonic()
    browser.open(address)
    browser.wait_for(there, PATIENCE)
    return time.monotonic() - started


def _lists(browser: Browser, trials: int) -> bool:
    texts = browser.texts()
    return f"Number of matching session groups: {trials}" in texts and "trial 0000" in texts


if __name__ == "__main__":
    main()
