"""search/resume.py: what is refused, said and handed over; that the sweep goes on as it was is in test_killed.py."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from search.__main__ import main
from search.config.file import write_sweep
from search.config.schema import SweepConfig
from search.config.trial_plan import Plan
from search.experiment.lease import driving
from search.experiment.provenance import add_session, origin, provenance, read_provenance
from search.results import read_summary
from search.resume import read_resumed, resume_sweep
from search.study.storage import opened_storage
from search.study.study import continued_study, load_study, open_study
from tests.search_tests.example import FINGERPRINT, empty_dataset, sweep
from tests.search_tests.tune_loop import PlayedSweep
from trainables.config import TrialConfig
from trainables.data.dataset import MANIFEST
from trainables.errors import UserError
from trainables.files.output import write_json
from trainables.handoff import read_handoff


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    """A sweep of which all trials have ended, and whose driver was killed before it handed over."""
    config = sweep(tmp_path, trials=3, trial={"epochs": 3, "image_size": 75, "weights": "random"}, sampler="random")
    folder = Path(config.experiment)
    folder.mkdir()
    write_json(provenance(0, config.dataset, FINGERPRINT), folder / "provenance.json")
    write_sweep(config, folder)
    with opened_storage(folder) as storage:
        study = open_study(config, FINGERPRINT, storage, join=False)
        PlayedSweep(config, study=study).play()
    return config


def resume(config: SweepConfig, *changes: str) -> int:
    return main(["resume", config.experiment, *(part for change in changes for part in ("--set", change))])


def test_a_driver_killed_before_the_hand_over_is_made_up_for_without_training(
    config: SweepConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(config.experiment)
    (folder / "sweep_summary.json").write_text("{}")  # It is written first; best.json is the marker.
    assert resume(config) == 0
    assert "best val_macro_f1" in capsys.readouterr().out
    assert json.loads((folder / "sweep_summary.json").read_text())["trials"] == {"COMPLETE": 3}
    best = read_handoff(folder / "best.json")
    assert resume(config) == 0
    assert "has ended and nothing is left to do; --set trials=N asks for more" in capsys.readouterr().out
    assert read_handoff(folder / "best.json") == best


@pytest.mark.parametrize("lost", ["sweep_summary.json", "best.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"{}", bytes(500)])
def test_what_was_lost_of_the_hand_over_is_written_again(
    config: SweepConfig, capsys: pytest.CaptureFixture[str], lost: str, content: bytes | None
) -> None:
    assert resume(config) == 0
    folder = Path(config.experiment)
    best, summary = read_handoff(folder / "best.json"), read_summary(folder)
    (folder / lost).unlink()
    if content is not None:
        (folder / lost).write_bytes(content)
    assert resume(config) == 0
    assert "has ended" not in capsys.readouterr().out
    assert read_handoff(folder / "best.json") == best
    assert read_summary(folder)["trials"] == summary["trials"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("seed=5", "seed: the study 'test' was begun with 0, so it cannot become 5; what may be changed: trials, "),
        ("metric=val_loss", "metric: the study 'test' was begun with val_macro_f1"),
        ("space.dropout.high=0.5", "space: the study 'test' was begun with"),
        (
            "objectives=[val_macro_f1, model_mb]",
            "objectives: the study 'test' was begun with [], so it cannot become [",
        ),
        ("sampler=tpe", "sampler: the study"),
        ("early_stopping.kind=none", "early_stopping: the study"),
        ("trial.batch_size=8", "trial.batch_size: the study 'test' was begun with 32, so it cannot become 8"),
        ("trial.epochs=2", "trial.epochs: may only grow on resume, from 3, not to 2"),
        ("name=other", "name: cannot be changed on resume"),
        ("experiment=/other", "experiment: cannot be changed on resume"),
        ("storage=postgresql://h/s", "storage: the study stays where it is"),
        ("trails=9", "unknown key 'trails'"),
    ],
)
def test_what_the_record_rests_on_cannot_be_changed(
    config: SweepConfig, capsys: pytest.CaptureFixture[str], change: str, line: str
) -> None:
    before = {name: (Path(config.experiment) / name).read_bytes() for name in ("sweep.yaml", "provenance.json")}
    changes = ["mode=min"] if change == "metric=val_loss" else []
    assert resume(config, change, *changes) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {line}") and said.err.count("\n") == 1 and said.out == ""
    assert {name: (Path(config.experiment) / name).read_bytes() for name in before} == before
    with opened_storage(Path(config.experiment)) as storage:
        study = load_study("test", storage)
        assert study is not None and len(study.trials) == 3 and study.user_attrs["definition"]["seed"] == 0


def test_another_dataset_is_refused_and_the_same_one_elsewhere_is_not(config: SweepConfig, tmp_path: Path) -> None:
    moved = empty_dataset(tmp_path / "moved")
    assert resume_sweep(Path(config.experiment), [f"dataset={moved}"])[0].trial >= 0
    manifest = (moved / MANIFEST).read_text()
    (moved / MANIFEST).write_text(manifest.replace(FINGERPRINT, "another"))
    with pytest.raises(UserError, match=r"dataset: .* is not what the study 'test' was begun on"):
        resume_sweep(Path(config.experiment), [f"dataset={moved}"])


def test_what_is_no_experiment_or_is_being_run_is_refused_in_one_line(config: SweepConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no sweep\.yaml, so nothing to resume"):
        resume_sweep(tmp_path)
    with driving(Path(config.experiment)), pytest.raises(UserError, match="is being run by process"):
        resume_sweep(Path(config.experiment))


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"experiment_id": 5, "dataset_fingerprint": "x"}'])
def test_a_record_of_where_it_came_from_that_was_lost_blocks_no_resume(
    config: SweepConfig, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = Path(config.experiment) / "provenance.json"
    file.unlink() if content is None else file.write_text(content)
    assert resume(config) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.endswith("it is written anew")]
    assert len(warnings) == 1 and warnings[0].startswith(f"warning: {file} ")
    assert read_provenance(Path(config.experiment))["lost"] == "the record of the first driver"


@pytest.mark.parametrize(
    ("loss", "line"),
    [
        ("missing", "holds no study 'test', though {trials} holds trials of it: restore it from a copy, or run the"),
        ("empty", "holds no study 'test', though {trials} holds trials of it"),
        ("cut off", "cannot be read: database disk image is malformed"),
        ("overwritten", "cannot be read: file is not a database"),
    ],
)
def test_a_study_that_was_lost_is_one_line_and_no_sweep_begins_over_its_trials(
    config: SweepConfig, capsys: pytest.CaptureFixture[str], loss: str, line: str
) -> None:
    study, trials = Path(config.experiment) / "study.db", Path(config.experiment) / "trials"
    for record in trials.glob("*/trial.json"):  # As those of an earlier version.
        record.unlink()
    lose(study, loss)
    assert resume(config, "trials=9") == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {study} {line.format(trials=trials)}") and said.err.count("\n") == 1
    assert not (Path(config.experiment) / "best.json").exists()


def lose(study: Path, loss: str) -> None:
    content = study.read_bytes()
    left = {"missing": None, "empty": b"", "cut off": content[: len(content) // 2], "overwritten": b"x" * 5000}[loss]
    study.unlink()
    if left is not None:
        study.write_bytes(left)


def everything(config: SweepConfig) -> list[dict[str, Any]]:
    """All that the study holds of its trials, times included."""
    with opened_storage(Path(config.experiment)) as storage:
        study = load_study("test", storage)
        assert study is not None
        hidden = ("_trial_id", "trial_id", "_intermediate_values")
        return [{key: value for key, value in vars(t).items() if key not in hidden} for t in study.get_trials()]


@pytest.mark.parametrize("loss", ["missing", "empty", "cut off", "overwritten"])
def test_a_lost_study_comes_back_from_the_trials_own_records(
    config: SweepConfig, capsys: pytest.CaptureFixture[str], loss: str
) -> None:
    before = everything(config)
    lose(Path(config.experiment) / "study.db", loss)
    assert resume(config) == 0
    assert "study.db had lost 3 trials; they are back from their own records" in capsys.readouterr().err
    assert everything(config) == before
    kept = sorted(file.name for file in Path(config.experiment).glob("study.db*"))
    assert kept == ["study.db", *(["study.db.damaged-1"] if loss in ("cut off", "overwritten") else [])]


def test_an_older_copy_of_the_study_gets_the_trials_that_it_lacks(config: SweepConfig) -> None:
    ended(config, 5)
    study = Path(config.experiment) / "study.db"
    older = study.read_bytes()
    with opened_storage(Path(config.experiment)) as storage:
        game = PlayedSweep(config, study=load_study("test", storage))
        game.play(trials=1)
        game.searcher.suggest("begun")
    before = everything(config)
    assert [trial["state"].name for trial in before] == ["COMPLETE"] * 4 + ["RUNNING"]
    study.write_bytes(older)
    with opened_storage(Path(config.experiment)) as storage:
        continued_study(config, FINGERPRINT, storage)
    assert everything(config) == before


@pytest.mark.parametrize("content", ["", "{", "{}", '{"number": 1}'])
def test_a_damaged_record_of_a_trial_is_one_line_where_it_is_needed(
    config: SweepConfig, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    record = Path(config.experiment) / "trials" / "0001" / "trial.json"
    record.write_text(content)
    assert resume(config) == 0  # The study has all of it.
    lose(Path(config.experiment) / "study.db", "missing")
    capsys.readouterr()
    assert resume(config, "trials=9") == 2
    assert capsys.readouterr().err.startswith(f"error: {record} is damaged: ")


def test_a_trial_of_which_nothing_is_left_keeps_its_number(config: SweepConfig) -> None:
    before = everything(config)
    shutil.rmtree(Path(config.experiment) / "trials" / "0001")
    lose(Path(config.experiment) / "study.db", "missing")
    with opened_storage(Path(config.experiment)) as storage:
        continued_study(config, FINGERPRINT, storage)
    after = everything(config)
    assert (after[0], after[2]) == (before[0], before[2]) and after[1]["state"].name == "FAIL"


def test_a_key_that_is_set_twice_is_refused(config: SweepConfig, capsys: pytest.CaptureFixture[str]) -> None:
    assert resume(config, "trials=9", "trials=10") == 2
    assert capsys.readouterr().err == "error: --set trials: is given twice, and only one of the values could count\n"


def ended(config: SweepConfig, trials: int) -> None:
    """Make of the sweep of 3 trials one that was to have so many, of which 3 have ended."""
    write_sweep(config.model_copy(update={"trials": trials}), Path(config.experiment))


def test_as_many_trials_as_have_ended_end_a_sweep(config: SweepConfig, capsys: pytest.CaptureFixture[str]) -> None:
    ended(config, 9)
    assert resume(config, "trials=3") == 0
    assert "trials: 3\n" in (Path(config.experiment) / "sweep.yaml").read_text()
    best = read_handoff(Path(config.experiment) / "best.json")
    assert resume(config, "trials=3") == 0
    assert "nothing is left to do; --set trials=N asks for more than sweep.yaml" in capsys.readouterr().out
    assert read_handoff(Path(config.experiment) / "best.json") == best


@pytest.mark.parametrize("has_results", [False, True])
@pytest.mark.parametrize("change", ["trials=2", "trial.epochs=5", "max_failures=3", "store=/other", "budget.epochs=7"])
def test_a_change_of_which_nothing_would_come_is_refused(
    config: SweepConfig, capsys: pytest.CaptureFixture[str], change: str, has_results: bool
) -> None:
    if has_results:
        assert resume(config) == 0
    files = ("sweep.yaml", "provenance.json", *(["best.json"] if has_results else []))
    before = {name: (Path(config.experiment) / name).read_bytes() for name in files}
    capsys.readouterr()
    assert resume(config, change) == 2
    said = capsys.readouterr().err
    key = change.partition("=")[0].partition(".")[0]
    assert said.startswith(f"error: {key}: 3 trials have ended and none is left to run, so it changes nothing; --set")
    assert {name: (Path(config.experiment) / name).read_bytes() for name in files} == before


def test_more_epochs_are_refused_where_all_trials_have_begun(
    config: SweepConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    ended(config, 4)
    with opened_storage(Path(config.experiment)) as storage:
        study = load_study("test", storage)
        assert study is not None
        next(PlayedSweep(config, study=study)._trial(0))
    assert resume(config, "trial.epochs=5") == 2
    assert "trial.epochs: changes nothing: a trial that has begun keeps its 3" in capsys.readouterr().err


def test_a_dataset_that_was_moved_after_the_end_stands_in_the_results(config: SweepConfig, tmp_path: Path) -> None:
    assert resume(config) == 0
    best = read_handoff(Path(config.experiment) / "best.json")
    moved = empty_dataset(tmp_path / "moved")
    assert resume(config, f"dataset={moved}") == 0
    assert read_handoff(Path(config.experiment) / "best.json") == best.model_copy(update={"dataset": str(moved)})
    assert read_resumed(Path(config.experiment), []).dataset == str(moved)
    assert read_provenance(Path(config.experiment))["resumed"][-1]["changes"] == [f"dataset={moved}"]


def test_a_moved_experiment_is_resumed_where_it_is(config: SweepConfig, tmp_path: Path) -> None:
    Path(config.experiment).rename(tmp_path / "moved")
    assert read_resumed(tmp_path / "moved", []).experiment == str(tmp_path / "moved")


def test_more_epochs_are_for_new_trials(tmp_path: Path) -> None:
    config = sweep(tmp_path, trials=2, trial={"epochs": 3})
    game = PlayedSweep(config)
    next(game._trial(0))
    longer = config.model_copy(update={"trial": {"epochs": 5}})
    PlayedSweep(longer, study=game.searcher.study).play(trials=2)
    trials = game.searcher.study.get_trials()
    assert [TrialConfig.model_validate(trial.user_attrs["config"]).epochs for trial in trials] == [3, 5]
    assert [max(trial.intermediate_values) for trial in trials] == [3, 5]


def test_each_trial_says_where_it_came_from_and_each_session_is_recorded(tmp_path: Path) -> None:
    config = sweep(tmp_path, trials=1)
    game = PlayedSweep(config)
    game.searcher._plan = Plan(config, 1, "me", origin(FINGERPRINT))
    (trial,) = game.play()
    came = trial.user_attrs["provenance"]
    assert came["dataset_fingerprint"] == FINGERPRINT and came["versions"]["optuna"] and came["driver_host"]
    assert {"seed", "config", "driver", "host", "seconds"} <= trial.user_attrs.keys()
    write_json(provenance(0, "d", FINGERPRINT), tmp_path / "provenance.json")
    add_session(tmp_path, read_provenance(tmp_path), ["trials=9"])
    add_session(tmp_path, read_provenance(tmp_path), [])
    assert [session["changes"] for session in read_provenance(tmp_path)["resumed"]] == [["trials=9"], []]
