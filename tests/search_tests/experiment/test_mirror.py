"""search/experiment/mirror.py: what reaches the URL, in which order, and how a sweep goes on from there."""

import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.callbacks.mirror import WakeMirror
from search.config.file import write_sweep
from search.config.schema import SweepConfig
from search.experiment import lease
from search.experiment.mirror import Mirror, check_new, download_for_resume, mirrored, open_mirror
from search.records import epochs_without_gap
from search.resume import read_resumed
from search.study.storage import open_storage, opened_storage
from search.study.study import continued_study, open_trials, settle
from search.tune.observers import ObservedTrial
from search.tune.state import SweepState
from tests.search_tests.example import sweep
from tests.search_tests.test_killed import ATTRS
from tests.search_tests.tune_loop import PlayedSweep
from trainables.config import RunSettings
from trainables.errors import UserError
from trainables.files.bucket import Bucket, open_bucket
from trainables.files.experiment import EPOCHS_FILE, trial_folder
from trainables.files.remote_experiment import local_copy
from trainables.training.checkpoint import Checkpoints


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the experiment is to lie; this process is on machine `a`."""
    move(tmp_path / "a", monkeypatch)
    return (tmp_path / "bucket" / "first").as_uri()


def move(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on another machine: a current folder of its own."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)


def begun(folder: Path, **files: str) -> Path:
    """Write an experiment's folder with a study and further files."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        file = folder / name.replace("__", "/").replace("_json", ".json").replace("_yaml", ".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    with sqlite3.connect(folder / "study.db") as database:
        database.execute("CREATE TABLE t (x)")
    return folder


def sent_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what is sent and deleted from now on, in order."""
    noted: list[str] = []
    for method in ("send", "delete"):
        do = getattr(Bucket, method)

        def note(self: Bucket, *args: Any, do: Any = do, sign: str = "" if method == "send" else "-") -> None:
            if args[-1] != lease.LEASE:
                noted.append(sign + args[-1])
            do(self, *args)

        monkeypatch.setattr(Bucket, method, note)
    return noted


def test_what_says_that_it_ended_goes_last_and_what_a_resume_needs_first(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"best_json": "{}", "sweep_yaml": "a", "pareto__trial_0001_json": "{}", "trials__0000__epochs": "1"}
    folder = begun(tmp_path / "w", sweep_summary_json="{}", provenance_json="{}", **names)
    for left_out in ("ray/state.json", "report/index.html", "trials/0000/epochs.tmp", ".driver.lock", "study.db-wal"):
        (folder / left_out).parent.mkdir(exist_ok=True)
        (folder / left_out).touch()
    mirror, noted = open_mirror(folder, url), sent_names(monkeypatch)
    mirror.bring()
    first, rest, last = noted[:3], sorted(noted[3:-2]), noted[-2:]
    assert first == ["sweep.yaml", "provenance.json", "study.db"]
    assert rest == ["pareto/trial_0001.json", "trials/0000/epochs"]
    assert last == ["sweep_summary.json", "best.json"]


def test_a_second_pass_brings_what_changed_and_first_takes_back_what_is_gone(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path / "w", best_json="{}", sweep_yaml="a", trials__0000__epochs="1")
    mirror = open_mirror(folder, url)
    mirror.bring()
    noted = sent_names(monkeypatch)
    mirror.bring()
    assert noted == []
    (folder / "best.json").unlink()
    (folder / "trials" / "0000" / "epochs").write_text("12")
    with sqlite3.connect(folder / "study.db") as database:
        database.execute("INSERT INTO t VALUES (1)")
    mirror.bring()
    assert noted == ["-best.json", "study.db", "trials/0000/epochs"]


def test_the_study_is_brought_whole_while_it_is_written_to(url: str, tmp_path: Path) -> None:
    folder = begun(tmp_path / "w", sweep_yaml="a")
    (folder / "study.db").unlink()
    storage = open_storage(folder)
    with storage.engine.begin() as transaction:  # What is not committed yet must not be in it.
        transaction.exec_driver_sql("INSERT INTO studies (study_name) VALUES ('late')")
        open_mirror(folder, url).bring()
        found = sqlite3.connect(tmp_path / "bucket" / "first" / "study.db")
        assert found.execute("SELECT count(*) FROM studies").fetchone() == (0,)
        assert found.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        found.close()
    storage.engine.dispose()


def test_the_end_of_the_body_brings_all_and_lets_the_experiment_go(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sweep(tmp_path, experiment=str(tmp_path / "w"), mirror=url)
    begun(tmp_path / "w", sweep_yaml="a")
    with mirrored(config):
        (tmp_path / "w" / "best.json").write_text("{}")
    assert capsys.readouterr().out == f"works in {tmp_path / 'w'}, and brings its records to {url}\n"
    found = lease.read_lease(open_bucket(url))
    assert found is not None and found.free
    assert open_bucket(url).names() == ["best.json", "driver.json", "study.db", "sweep.yaml"]
    with mirrored(sweep(tmp_path)) as none:
        assert none is None


def test_a_url_that_fails_meanwhile_is_said_once_and_at_the_end_says_where_the_records_are(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sweep(tmp_path, experiment=str(tmp_path / "w"), mirror=url)
    begun(tmp_path / "w", sweep_yaml="a")

    def unreachable(self: Bucket, *_: Any) -> None:
        raise UserError(f"{self.url}: no route")

    line = (
        rf"^all records are in {tmp_path}/w, but not at {url}: .*no route; `python -m search resume .*/w` brings them$"
    )
    with pytest.raises(UserError, match=line), mirrored(config) as mirror:
        assert mirror is not None
        monkeypatch.setattr(Bucket, "send", unreachable)
        mirror.wake()
    monkeypatch.undo()
    assert capsys.readouterr().err.count("warning: ") <= 1
    with mirrored(config):  # The same folder, whose driver is no more: nobody has to wait.
        pass
    assert "sweep.yaml" in open_bucket(url).names()


def test_a_place_that_holds_a_run_or_is_being_run_is_refused_for_a_new_one(url: str, tmp_path: Path) -> None:
    config = sweep(tmp_path, mirror=url)
    check_new(config)
    open_mirror(begun(tmp_path / "w", sweep_yaml="a"), url).bring()
    with pytest.raises(UserError, match=r"is being run by process"):
        check_new(config)
    (tmp_path / "bucket" / "first" / "driver.json").unlink()
    with pytest.raises(UserError, match=rf"^experiment: {url} holds another run; choose an empty or a new place$"):
        check_new(config)


def test_a_driver_whose_experiment_was_taken_over_ends_and_brings_nothing_more(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, sweep_state = sweep(tmp_path, experiment=str(tmp_path / "w"), mirror=url), SweepState()
    begun(tmp_path / "w", sweep_yaml="a")
    with pytest.raises(lease.LeaseLost, match="was taken over by process"), mirrored(config) as mirror:
        assert mirror is not None
        observer = WakeMirror(mirror, sweep_state)
        observer.step()
        assert sweep_state.error is None
        deadline = time.monotonic() + 20
        while "study.db" not in (tmp_path / "w" / ".mirror.json").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)  # Its first pass, after which it sleeps.
        with monkeypatch.context() as patched:
            patched.setattr(lease, "FRESH_SECONDS", 0)
            lease.take(open_bucket(url))
        (tmp_path / "w" / "best.json").write_text("{}")
        deadline = time.monotonic() + 20
        while sweep_state.error is None and time.monotonic() < deadline:
            observer.began(ObservedTrial(1, {}))
            observer.step()
        assert sweep_state.error is not None
        raise sweep_state.error
    assert "best.json" not in open_bucket(url).names()
    assert capsys.readouterr().err == ""


class TestResuming:
    """From the URL alone, from the folder where its driver worked, and from one that is older."""

    @pytest.fixture
    def left(self, url: str) -> tuple[Path, Mirror]:
        """What a driver on machine `a` has left that was killed."""
        folder = begun(Path("runs/first").absolute(), sweep_yaml="a", best_json="{}")
        mirror = open_mirror(folder, url)
        mirror.bring()
        return folder, mirror

    def test_where_its_driver_worked_what_is_here_is_used_at_once(self, url: str, left: tuple[Path, Mirror]) -> None:
        folder, _ = left
        (folder / "newer").touch()
        assert download_for_resume(url) == folder and (folder / "newer").exists()
        open_mirror(folder, url)

    def test_elsewhere_it_waits_for_the_note_and_brings_all(
        self, url: str, left: tuple[Path, Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        move(tmp_path / "b", monkeypatch)
        with pytest.raises(UserError, match=r"is being run by process .* the experiment is free in 1\d\d s"):
            download_for_resume(url)
        monkeypatch.setattr(lease, "FRESH_SECONDS", 0)
        folder = download_for_resume(url)
        assert folder == tmp_path / "b" / "runs" / "first"
        assert sorted(file.name for file in folder.iterdir() if file.name[0] != ".") == [
            "best.json",
            "study.db",
            "sweep.yaml",
        ]
        mirror = open_mirror(folder, url)
        (folder / "best.json").unlink()
        mirror.bring()
        assert "best.json" not in open_bucket(url).names()

    def test_a_folder_that_others_have_gone_on_from_is_refused_or_put_aside(
        self, url: str, left: tuple[Path, Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lease, "FRESH_SECONDS", 0)
        move(tmp_path / "b", monkeypatch)
        open_mirror(download_for_resume(url), url)
        move(tmp_path / "a", monkeypatch)
        with pytest.raises(UserError, match=rf"/a/runs/first is older than {url}, where process .* has gone on; "):
            open_mirror(left[0], url)
        (left[0] / "mine").touch()
        folder = download_for_resume(url)
        assert folder == left[0] and not (folder / "mine").exists()
        (aside,) = [path for path in (tmp_path / "a" / "runs").iterdir() if "first-until-" in path.name]
        assert (aside / "mine").exists()
        open_mirror(folder, url)

    def test_another_experiments_folder_is_left_alone(
        self, url: str, left: tuple[Path, Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        move(tmp_path / "b", monkeypatch)
        begun(Path("runs/first").absolute(), sweep_yaml="other")
        with pytest.raises(UserError, match=rf"^{tmp_path}/b/runs/first is another experiment's; move it away, or"):
            download_for_resume(url)
        assert Path("runs/first/sweep.yaml").read_text() == "other"

    def test_a_url_without_a_sweep_is_one_line_and_nothing_is_written(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        move(tmp_path / "b", monkeypatch)
        with pytest.raises(UserError, match=rf"^{url}/none holds no sweep.yaml, so nothing to resume, or there is no"):
            download_for_resume(f"{url}/none")
        assert list(Path().iterdir()) == []


class Killed(BaseException):
    """No handler of ours may catch it."""


class MirroredSweep(PlayedSweep):
    """A played sweep whose trials keep real checkpoints where the plan says, and begin from them; it logs epochs."""

    def __init__(self, config: SweepConfig, study: Any, tick: Any) -> None:
        super().__init__(config, study=study)
        self.experiment = Path(config.experiment)
        self._tick = tick

    def _trial(self, index: int) -> Iterator[None]:
        reported = self.searcher.suggest

        def suggest(trial_id: str) -> Any:
            settings = reported(trial_id)
            if isinstance(settings, dict):
                self._begin(settings["run"])
            return settings

        self.searcher.suggest = suggest  # type: ignore[method-assign]
        try:
            yield from super()._trial(index)
        finally:
            self.searcher.suggest = reported  # type: ignore[method-assign]

    def _begin(self, run: RunSettings) -> None:
        checkpoints = Checkpoints(run.checkpoint_dir, 1)
        found, _ = checkpoints.newest()
        results = [*found.earlier, found.result] if found else []
        unheard = found.unheard(run.known_epochs) if found else []
        self._checkpoints = {run.trial: unheard[0]["epoch"]} if unheard else {}

        def checkpoint(number: int, epoch: int) -> None:
            if epoch > len(results):
                checkpoints.write({"a": np.zeros(1)}, {"epoch": epoch}, results)
                results.append({"epoch": epoch})
            folder = trial_folder(self.experiment, number)
            with (folder / EPOCHS_FILE).open("a") as log:  # Of epochs that the study has.
                for reported in range(epochs_without_gap(folder) + 1, epoch):
                    log.write(json.dumps({"epoch": reported}) + "\n")
            self._tick()

        self._checkpoint = checkpoint


def life(config: SweepConfig, folder: Path, url: str, ticks: int, dice: random.Random) -> None:
    """One driver's life in `folder`: it is killed at its `ticks`-th epoch, having brought records now and then."""
    mirror = open_mirror(folder, url)
    left = iter(range(ticks, -1, -1))

    def tick() -> None:
        if next(left, None) == 0:
            raise Killed
        if dice.random() < 0.15:
            mirror.bring()

    with ExitStack() as closing:
        storage = closing.enter_context(opened_storage(folder))
        study = continued_study(config, "fingerprint", storage)
        mirror.bring()
        trials = max(config.trials - settle(study, config, None), len(open_trials(study)))
        MirroredSweep(config, study, tick).play(trials=trials)
    mirror.bring()


def reported(folder: Path) -> list[tuple[Any, ...]]:
    import optuna

    with opened_storage(folder) as storage:
        trials = optuna.load_study(study_name="test", storage=storage).get_trials()
    return [
        (t.number, t.state.name, t.params, t.intermediate_values, t.values, *(t.user_attrs.get(key) for key in ATTRS))
        for t in trials
    ]


def test_a_sweep_killed_again_and_again_goes_on_on_other_machines_and_ends_as_one_that_never_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study at the URL is epochs, and whole trials, behind the checkpoints there."""
    monkeypatch.setattr(lease, "FRESH_SECONDS", 0)
    settings: dict[str, Any] = {"trials": 8, "seed": 9, "startup_trials": 3, "early_stopping": {"min_results": 2}}
    whole = sweep(tmp_path / "whole", **settings)
    (tmp_path / "whole" / "experiment").mkdir()
    with opened_storage(Path(whole.experiment)) as storage:
        PlayedSweep(whole, study=continued_study(whole, "fingerprint", storage)).play()
    config = sweep(tmp_path, **settings, experiment=str(Path("runs/first").absolute()), mirror=url, checkpoint_every=1)
    folder, dice, deaths = Path(config.experiment), random.Random(4), 0
    folder.mkdir(parents=True)
    write_sweep(config, folder)
    while True:
        try:
            life(config, folder, url, dice.randint(2, 9), dice)
            break
        except Killed:
            deaths += 1
        move(tmp_path / f"machine{deaths}", monkeypatch)
        folder = download_for_resume(url)
        config = read_resumed(folder, [], url)
    assert deaths >= 4
    assert reported(folder) == reported(Path(whole.experiment)) == reported(local_copy(url))
