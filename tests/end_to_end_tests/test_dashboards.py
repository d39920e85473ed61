"""Both dashboards in a browser while a sweep runs: `python -m analysis dashboard`, on a sweep that is played."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from search.records import TrialRecord, read_experiment
from tests.browser import Browser, browser  # noqa: F401 - a fixture
from tests.checkout import ROOT
from trainables.errors import UserError

KNOBS = ("learning_rate", "dropout", "dense_units", "unfrozen_layers")
TALL = (1440, 2600)  # TensorBoard's table makes only those rows that are in the window.

pytestmark = pytest.mark.slow


@contextmanager
def started(*arguments: str | Path, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A command of ours, ended by Ctrl-C at the latest when the context ends."""
    command = [sys.executable, "-m", *map(str, arguments)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # A shell's background job ignores Ctrl-C, and so would what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)


def trials(experiment: Path) -> list[TrialRecord]:
    """The trials so far; none while the sweep is only about to begin."""
    try:
        return list(read_experiment(experiment).trials)
    except UserError:
        return []


def states(experiment: Path) -> set[str]:
    return {trial.state for trial in trials(experiment)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a sweep that is running and has stopped some trials early, and ended others."""
    folder = tmp_path_factory.mktemp("running")
    with started("tests.end_to_end_tests.played_sweep", folder, log=folder / "sweep.log") as sweep:
        end = time.monotonic() + 300
        while len(trials(folder / "experiment")) < 12 or not {"PRUNED", "COMPLETE"} <= states(folder / "experiment"):
            assert sweep.poll() is None, (folder / "sweep.log").read_text()
            assert time.monotonic() < end, "no trial was pruned"
            time.sleep(1)
        yield folder / "experiment"
        assert sweep.poll() is None, "the sweep ended before the dashboards were looked at"


@pytest.fixture(scope="module")
def addresses(running: Path) -> Iterator[dict[str, str]]:
    """What `python -m analysis dashboard` prints, by the last part of each address."""
    with started("analysis", "dashboard", running, log=running.parent / "dashboard.log") as dashboard:
        found = {}
        assert dashboard.stdout is not None
        for line in dashboard.stdout:
            for address in re.findall(r"http://\S+", line):
                found[re.split(r"[/#&]+", address)[2]] = address
            if "Ctrl-C" in line:
                break
        assert set(found) == {"custom_scalars", "hparams", "dashboard"}, (running.parent / "dashboard.log").read_text()
        yield found
        dashboard.send_signal(signal.SIGINT)
        assert dashboard.wait(30) == 0
    for address in found.values():
        port = int(re.findall(r":(\d+)", address)[0])
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_the_dashboards_answer_on_loopback_only(addresses: dict[str, str]) -> None:
    assert all(address.startswith("http://127.0.0.1:") for address in addresses.values())
    own = next(
        (
            found[4][0]
            for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
            if not found[4][0].startswith("127.")
        ),
        None,
    )
    if own is not None:
        port = int(re.findall(r":(\d+)", addresses["hparams"])[0])
        with pytest.raises(OSError), socket.create_connection((own, port), timeout=5):
            pass


def _heads(texts: list[str]) -> list[str]:
    """The headings of the HParams table, but for the trial's name; empty while there is no table."""
    if "Trial ID" not in texts:
        return []
    table = texts[texts.index("Trial ID") :]
    rows = (place for place, text in enumerate(table) if re.fullmatch(r"trial \d+", text))
    return [text for text in table[: next(rows, 0)] if text not in ("Trial ID", "Show Metrics")]


def _cells(texts: list[str], name: str) -> list[float]:
    """The numbers in a trial's row, in the order of the headings; empty while one of them is missing."""
    heads = _heads(texts)
    if not heads or name not in texts:
        return []
    cells = texts[texts.index(name, texts.index("Trial ID")) + 1 :][: len(heads)]
    return [float(cell) for cell in cells] if all(re.fullmatch(r"[-+.\de]+", cell) for cell in cells) else []


def test_hparams_shows_every_trial_with_its_parameters_and_best_score(
    addresses: dict[str, str],
    running: Path,
    browser: Browser,  # noqa: F811
) -> None:
    wanted = {f"trial {trial.number:04d}": trial for trial in trials(running) if trial.values}
    browser.open(addresses["hparams"], TALL)

    ended = {name: max(trial.values.values()) for name, trial in wanted.items() if trial.state != "RUNNING"}

    def row(texts: list[str], name: str) -> dict[str, float]:
        cells = _cells(texts, name)
        return dict(zip(_heads(texts), cells, strict=True)) if cells else {}

    def shown() -> bool:
        texts = browser.texts()
        best = {name: row(texts, name).get("best_val_macro_f1") for name in wanted}
        return None not in best.values() and all(best[name] == pytest.approx(ended[name], rel=1e-4) for name in ended)

    def whole() -> bool:
        # TensorBoard reads a run's file some seconds after it was written, and the page does not read on: of the newest
        # trials the first score, or the last, may be missing.
        with contextlib.suppress(AssertionError):
            return browser.wait_for(shown, 10)
        browser.driver.refresh()
        return False

    browser.wait_for(whole, 120)
    texts = browser.texts()
    browser.screenshot("tensorboard_hparams_running")
    assert set(_heads(texts)) == {*KNOBS, "best_val_macro_f1"}
    for name, trial in wanted.items():
        assert {knob: row(texts, name)[knob] for knob in KNOBS} == pytest.approx(trial.params, rel=1e-4)
    assert browser.errors() == []


def test_the_layout_shows_what_matters_and_grows_with_the_sweep(
    addresses: dict[str, str],
    running: Path,
    browser: Browser,  # noqa: F811
) -> None:
    browser.open(addresses["custom_scalars"])
    for title in ("Which trial is best", "best val_macro_f1 so far", "Do the trials learn or memorise"):
        browser.wait_for(lambda title=title: title in browser.texts(), 120)
    browser.wait_for(lambda: any(re.fullmatch(r"Matches \(\d\d+\)", text) for text in browser.texts()), 120)
    browser.screenshot("tensorboard_layout_running")
    assert browser.errors() == []


def test_optuna_dashboard_shows_history_importances_and_pruned_trials(
    addresses: dict[str, str],
    running: Path,
    browser: Browser,  # noqa: F811
) -> None:
    browser.open(addresses["dashboard"])
    browser.wait_for(lambda: "test" in browser.texts(), 120)
    browser.open(f"{addresses['dashboard']}/studies/1")
    for title in ("History", "Hyperparameter Importance"):
        browser.wait_for(lambda title=title: any(title in text for text in browser.texts()), 120)
    browser.wait_for(lambda: {*KNOBS, "val_macro_f1"} <= set(browser.texts()), 120)
    browser.screenshot("optuna_dashboard_running")
    browser.open(f"{addresses['dashboard']}/studies/1/trials")
    browser.wait_for(lambda: any("Pruned" in text for text in browser.texts()), 120)
    browser.screenshot("optuna_dashboard_trials_running")
