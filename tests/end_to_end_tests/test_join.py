"""Two drivers at once on one study, on a real PostgreSQL server and with a Ray each."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search.config.storage_url import parse_url
from search.experiment.provenance import read_provenance
from search.records import read_epochs, read_experiment
from search.study.storage import read_study
from search.study.trial_record import DRIVER
from tests.checkout import ROOT
from tests.search_tests import killed_driver
from tests.search_tests.postgres import PASSWORD, USER, server
from trainables.handoff import read_handoff

TRIALS = 6  # of each driver

pytestmark = pytest.mark.slow


def driver(folder: Path, storage: str, *options: str) -> subprocess.Popen[bytes]:
    folder.mkdir()
    common = ["--trials", str(TRIALS), "--seconds", "0.3", "--storage", storage]
    command = [sys.executable, "-m", killed_driver.__name__, str(folder), *common, *options]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "RAY_ADDRESS": "local"})


def test_two_drivers_share_trials_and_rungs_and_each_answers_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    drivers: list[subprocess.Popen[bytes]] = []
    with server() as address:
        storage = f"postgresql://{USER}:{PASSWORD}@{address}/postgres"
        try:
            drivers.append(driver(one, storage))
            end = time.monotonic() + 300
            while not read_epochs(one / "experiment" / "trials" / "0000" / "epochs.jsonl"):
                assert drivers[0].poll() is None and time.monotonic() < end, (one / "log").read_text()
                time.sleep(0.1)
            drivers.append(driver(two, storage, "--join"))
            for process, folder in zip(drivers, (one, two), strict=True):
                assert process.wait(600) == 0, (folder / "log").read_text()
        finally:
            for process in drivers:
                process.kill()
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        trials = read_study(parse_url(storage), "test").trials
        seen = [read_experiment(folder / "experiment").trials for folder in (one, two)]
    assert [[trial.number for trial in trials_seen] for trials_seen in seen] == [list(range(2 * TRIALS))] * 2
    assert all(f"{TRIALS}/{TRIALS} trials" in (folder / "log").read_text() for folder in (one, two))
    assert not any(f"{TRIALS + 1}/{TRIALS} trials" in (folder / "log").read_text() for folder in (one, two))
    begun_by = [trial.user_attrs[DRIVER] for trial in trials]
    for folder in (one, two):
        assert begun_by.count(read_provenance(folder / "experiment")["experiment_id"]) == TRIALS
        written = [file for file in (folder / "experiment").rglob("*") if file.is_file()]
        assert written and not [file for file in written if PASSWORD.encode() in file.read_bytes()]
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}
    assert len({str(trial.params) for trial in trials}) == 2 * TRIALS
    # More competed at a rung than a driver has trials of its own: both see all results.
    assert max(trial.user_attrs["stop"].get("competed", 0) for trial in trials) >= TRIALS
    best = max(value for trial in trials for value in trial.intermediate_values.values())
    assert best in [read_handoff(folder / "experiment" / "best.json").score for folder in (one, two)]
