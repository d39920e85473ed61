"""search/tune/failure.py: errors in words."""

import shlex
import sqlite3
import traceback
from pathlib import Path

import optuna
import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.tune import TuneError

from search.study.storage import PATIENT, open_storage
from search.study.study import create_study
from search.tune.failure import Failure, broken_off, describe, how_to_go_on
from trainables.errors import OutOfMemory, TrialFailed, UserError


def raised_in_step(cause: Exception) -> RayTaskError:
    return RayTaskError("train", f"Traceback\n  File x\n{type(cause).__name__}: {cause}", cause)


def raised_in_setup(text: str) -> ActorDiedError:
    error = ActorDiedError(raised_in_step(RuntimeError(text)))
    assert error.actor_init_failed
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (None, Failure("it failed without leaving its error")),
        (raised_in_step(TrialFailed("out of memory on CPU")), Failure("out of memory on CPU")),
        (raised_in_step(OutOfMemory("out of memory on T4")), Failure("out of memory on T4", out_of_memory=True)),
        (raised_in_step(KeyError("dropout")), Failure("KeyError: 'dropout'")),
        (raised_in_step(ValueError("first\nlast: line")), Failure("ValueError: first")),
        (raised_in_step(TypeError("in user code:\n\n  File x\n\n  ValueError: no\n")), Failure("ValueError: no")),
        (raised_in_step(UserError("weights: no")), Failure("weights: no", ends_sweep=True)),
        (raised_in_setup("the weights are damaged"), Failure("RuntimeError: the weights are damaged")),
        (ActorDiedError(), Failure("its worker was lost (The actor died unexpectedly before finishing this task.): "
                                   "killed, crashed or out of memory", worker_lost=True)),
        (raised_in_step(AssertionError()), Failure("AssertionError")),
        (ValueError("odd"), Failure("ValueError: odd")),
    ],
)  # fmt: skip
def test_an_error_becomes_one_line(error: Exception | None, failure: Failure) -> None:
    assert describe(error) == failure


@pytest.mark.parametrize(
    ("error", "outside"),
    [
        (raised_in_step(OSError(28, "No space left on device", "/a/b")), "OSError"),
        (raised_in_step(PermissionError(13, "Permission denied", "/a/trials/0007/x")), "PermissionError"),
        (raised_in_step(ModuleNotFoundError("No module named 'keras'")), "ModuleNotFoundError"),
        (raised_in_setup("/store/12345/a.npy: Read-only file system"), "RuntimeError"),
        (raised_in_step(ValueError("image_size 32 is too small")), ""),
        (raised_in_step(TrialFailed("No space left on device")), ""),
    ],
)
def test_what_no_configuration_can_be_the_cause_of_is_known_without_names_of_files(
    error: Exception, outside: str
) -> None:
    found = describe(error).outside
    assert found.partition(":")[0] == outside and "/" not in found


def test_the_whole_traceback_is_kept() -> None:
    assert "File x" in describe(raised_in_step(ValueError("no"))).details


def test_a_sweep_error_in_a_workers_first_setup_is_known_from_its_text_alone() -> None:
    text = "Traceback\n  File x\ntrainables.errors.UserError: weights: w.h5 does not fit"
    error = ActorDiedError(RayTaskError("__init__", text, UserError("weights: w.h5 does not fit")))
    assert not hasattr(error, "cause")
    assert describe(error) == Failure("weights: w.h5 does not fit", ends_sweep=True)


def of_tune(error: Exception) -> TuneError:
    """As Ray Tune raises what a callback or searcher raised: with its text alone."""
    try:
        try:
            raise error
        except Exception:
            raise TuneError(traceback.format_exc())  # noqa: B904 - so does Ray
    except TuneError as wrapped:
        return wrapped


def test_a_sweep_that_broke_off_names_the_cause_behind_what_ray_and_optuna_say(tmp_path: Path) -> None:
    said = broken_off(of_tune(KeyError("val_f1")), tmp_path)
    assert said.startswith("the sweep broke off: KeyError: 'val_f1' (more in ") and said.endswith(" goes on")
    assert "val_f1" in (tmp_path / "driver_error.txt").read_text()


def test_how_to_go_on_is_a_line_that_a_shell_takes_as_it_stands() -> None:
    line = how_to_go_on(Path("runs/x #2 [1]")).split("`")[1]
    assert shlex.split(line, comments=True) == ["python", "-m", "search", "resume", "runs/x #2 [1]"]


def test_a_sweep_whose_study_another_program_has_locked_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PATIENT["connect_args"], "timeout", 0.05)
    trial = create_study("s", "max", open_storage(tmp_path)).ask()
    other = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(optuna.exceptions.StorageInternalError, match="invalid data in the commit") as caught:
        trial.report(0.5, 1)
    other.close()
    said = broken_off(of_tune(caught.value), tmp_path)
    assert (
        f"the sweep broke off: {tmp_path / 'study.db'} is locked by another program" in said and "invalid" not in said
    )
