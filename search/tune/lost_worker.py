"""Workers that Ray ended in a way that Ray Tune does not know: their trials fail, and not the sweep."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.tune.execution import tune_controller


class WorkerLost(RayActorError):
    """An error of Ray's that says so in another class, in one that Ray Tune knows.

    `out_of_memory` says that Ray's memory monitor ended it, before its machine ran out of memory.
    """

    def __init__(self, message: str, out_of_memory: bool) -> None:
        super().__init__(error_msg=message)
        self.out_of_memory = out_of_memory

    def __reduce__(self) -> tuple[Any, ...]:
        return WorkerLost, (self.error_msg, self.out_of_memory)


class _ActorManager(RayActorManager):
    """Ray's, which takes every error but an actor's and a task's for one of its own and ends the run with it."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        super()._actor_task_failed(tracked_actor_task, as_known(exception))

    def _actor_start_failed(self, tracked_actor: Any, exception: Exception) -> None:
        super()._actor_start_failed(tracked_actor, as_known(exception))


@contextmanager
def lost_workers_end_no_sweep() -> Iterator[None]:
    """Have a Ray Tune run that begins in the body take any lost worker for one, as it takes one that was killed."""
    before = tune_controller.RayActorManager
    tune_controller.RayActorManager = _ActorManager
    try:
        yield
    finally:
        tune_controller.RayActorManager = before


def as_known(error: Exception) -> Exception:
    """Return an error of a worker in a class that Ray Tune knows."""
    if isinstance(error, RayError) and not isinstance(error, RayActorError | RayTaskError):
        return WorkerLost(f"{type(error).__name__}: {error}", isinstance(error, OutOfMemoryError))
    return error
