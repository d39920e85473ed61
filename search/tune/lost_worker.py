"""Workers that Ray ended, or never started, in a way that Ray Tune does not know: their trials fail, not the sweep."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import ray
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.tune.execution import tune_controller

from search.tune import quarantine
from search.tune.quarantine import Quarantine, StartTest, node_of


class WorkerLost(RayActorError):
    """An error of Ray's that says so in another class, in one that Ray Tune knows.

    `out_of_memory` says that Ray's memory monitor ended it, before its machine ran out of memory; `elsewhere`, that the
    node is to blame and the trial has others to go to: Ray Tune then counts it as no failure of the trial's.
    """

    def __init__(self, message: str, out_of_memory: bool, elsewhere: bool = False) -> None:
        super().__init__(error_msg=message, preempted=elsewhere)
        self.out_of_memory = out_of_memory

    def __reduce__(self) -> tuple[Any, ...]:
        return WorkerLost, (self.error_msg, self.out_of_memory, self.preempted)


class _ActorManager(RayActorManager):
    """Ray's, which takes every error but an actor's and a task's for one of its own and ends the run with it.

    And it waits for ever for a process on a node that can start none, which this one looks for.
    """

    quarantine: ClassVar[Quarantine]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._begun: set[Any] = set()  # Actors whose process is up, and set up.
        self._asked: dict[Any, float] = {}  # Actors that have not begun: since when, in monotonic seconds.
        self._probes: dict[str, StartTest] = {}
        self._next_look = 0.0

    def next(self, timeout: float | None = None) -> bool:
        """Ray's step; now and then, look for trials whose process does not begin."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 1.0
            self._look()
        return bool(super().next(timeout))

    def _look(self) -> None:
        """Ask the nodes of trials that have waited long for a process that does nothing; give up those that cannot."""
        self._begun &= self._live_actors_to_ray_actors_resources.keys()
        # Not `is_actor_started`, which is true from the moment on at which Ray was asked for the process.
        waiting = [one for one in self._live_actors_to_ray_actors_resources if one not in self._begun]
        self._asked = {one: self._asked.get(one, time.monotonic()) for one in waiting}
        for one, since in self._asked.items():
            node = self._node(one) if time.monotonic() - since > quarantine.ASK_SECONDS else ""
            if node and node not in self._probes:
                self._probes[node] = StartTest(node)
                self._asked[one] = time.monotonic() + quarantine.ASK_AGAIN_SECONDS
        for node, probe in list(self._probes.items()):
            failed = probe.failed()
            if failed is not None:
                del self._probes[node]
            if failed:
                self.quarantine.start_failed(node, quarantine.STARTS_ALLOWED_TO_FAIL)
        for one in waiting if self.quarantine.nodes else ():  # Also those that were sent there before it was known.
            if self._node(one) in self.quarantine.nodes:
                ray.kill(self._live_actors_to_ray_actors_resources[one][0])

    def _node(self, tracked_actor: Any) -> str:
        held = self._live_actors_to_ray_actors_resources.get(tracked_actor)
        return node_of(held[1].placement_group) if held else ""

    def _actor_start_resolved(self, tracked_actor: Any, future: Any) -> None:
        self._begun.add(tracked_actor)
        if self.quarantine.suspects:
            self.quarantine.started(self._node(tracked_actor))
        super()._actor_start_resolved(tracked_actor=tracked_actor, future=future)

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        super()._actor_task_failed(tracked_actor_task, as_known(exception))

    def _actor_start_failed(self, tracked_actor: Any, exception: Exception) -> None:
        known = as_known(exception)
        of_its_own = isinstance(known, RayTaskError) or any(
            getattr(known, blamed, False) for blamed in ("actor_init_failed", "out_of_memory")
        )
        if not of_its_own and self.quarantine.start_failed(self._node(tracked_actor)):
            known = WorkerLost(f"{type(exception).__name__}: {exception}", False, elsewhere=True)
        super()._actor_start_failed(tracked_actor, known)


@contextmanager
def lost_workers_end_no_sweep(nodes: Quarantine) -> Iterator[None]:
    """Have a Ray Tune run that begins in the body take any lost worker for one, as it takes one that was killed.

    Args:
        nodes: is told of nodes that can start no process.
    """
    before = tune_controller.RayActorManager
    tune_controller.RayActorManager = type("ActorManager", (_ActorManager,), {"quarantine": nodes})
    try:
        yield
    finally:
        tune_controller.RayActorManager = before


def as_known(error: Exception) -> Exception:
    """Return an error of a worker in a class that Ray Tune knows."""
    if isinstance(error, RayError) and not isinstance(error, RayActorError | RayTaskError):
        return WorkerLost(f"{type(error).__name__}: {error}", isinstance(error, OutOfMemoryError))
    return error
