"""search/tune/failure.py: errors in words."""

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from search.tune.failure import Failure, describe
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


def test_the_whole_traceback_is_kept() -> None:
    assert "File x" in describe(raised_in_step(ValueError("no"))).details


def test_a_sweep_error_in_a_workers_first_setup_is_known_from_its_text_alone() -> None:
    text = "Traceback\n  File x\ntrainables.errors.UserError: weights: w.h5 does not fit"
    error = ActorDiedError(RayTaskError("__init__", text, UserError("weights: w.h5 does not fit")))
    assert not hasattr(error, "cause")
    assert describe(error) == Failure("weights: w.h5 does not fit", ends_sweep=True)
