"""search/tune/quarantine.py: nodes that can start no process (real ones: tests/cluster_tests/test_broken_node.py)."""

from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError, RayTaskError
from ray.tune import PlacementGroupFactory

from search.tune import lost_worker, quarantine
from search.tune.failure import describe
from search.tune.lost_worker import WorkerLost, _ActorManager
from search.tune.quarantine import Quarantine


def node(name: str, alive: bool = True, cpus: float = 4) -> dict[str, Any]:
    where = {"NodeManagerHostname": f"host-{name}", "NodeManagerAddress": f"10.0.0.{name}"}
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus}, **where}


@pytest.fixture(autouse=True)
def three_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three that take trials, besides one that is down and a head without CPUs."""
    nodes = [node("1"), node("2"), node("3"), node("4", alive=False), node("5", cpus=0)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)


class Waiting:
    """A trial that Ray Tune has queued."""

    def __init__(self) -> None:
        self.placement_group_factory = PlacementGroupFactory([{"CPU": 2.0, "GPU": 0.5}])

    def update_resources(self, given: Any) -> None:
        self.placement_group_factory = given


def test_after_two_failed_starts_in_a_row_trials_keep_off_a_node_and_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nodes, trial = Quarantine(), Waiting()
    assert nodes.start_failed("1")
    nodes.started("1")
    assert nodes.start_failed("1")
    nodes.keep_off(trial)
    assert trial.placement_group_factory == PlacementGroupFactory([{"CPU": 2.0, "GPU": 0.5}])
    assert capsys.readouterr().err == "" and nodes.nodes == {}
    assert nodes.start_failed("1") and nodes.start_failed("1")
    assert capsys.readouterr().err == (
        "warning: host-1 (10.0.0.1) can start no process, because of a full disk or a broken environment; "
        "trials go to 2 others; `python -m cluster doctor` says more\n"
    )
    nodes.keep_off(trial)
    away = [{"ray.io/node-id": "!in(1)"}]
    assert trial.placement_group_factory == PlacementGroupFactory(
        [{"CPU": 2.0, "GPU": 0.5}], bundle_label_selector=away
    )
    nodes.keep_off(trial, {"CPU": 4.0})
    assert trial.placement_group_factory == PlacementGroupFactory([{"CPU": 4.0}], bundle_label_selector=away)


def test_the_last_node_is_not_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = Quarantine()
    assert [nodes.start_failed(name, 2) for name in ("1", "2", "3", "4", "5", "")] == [True, True] + [False] * 4
    assert list(nodes.nodes) == ["1", "2"]
    assert "host-3 (10.0.0.3) can start no process, because of" in capsys.readouterr().err
    trial = Waiting()
    nodes.keep_off(trial)
    away = [{"ray.io/node-id": "!in(1,2)"}]
    assert trial.placement_group_factory == PlacementGroupFactory(
        [{"CPU": 2.0, "GPU": 0.5}], bundle_label_selector=away
    )


@pytest.mark.parametrize(
    ("error", "elsewhere"),
    [
        (ActorDiedError(), True),
        (ray.exceptions.RuntimeEnvSetupError("no space left on device"), True),
        (ActorDiedError(RayTaskError("__init__", "", ValueError())), False),
        (ray.exceptions.OutOfMemoryError("memory"), False),
    ],
)
def test_a_start_that_its_node_failed_is_no_failure_of_the_trials(
    monkeypatch: pytest.MonkeyPatch, error: Exception, elsewhere: bool
) -> None:
    passed_on: list[Any] = []
    monkeypatch.setattr(
        lost_worker.RayActorManager, "_actor_start_failed", lambda _, actor, error: passed_on.append(error)
    )
    manager = managed(monkeypatch, {"actor": "1"})
    manager._actor_start_failed("actor", error)
    assert bool(getattr(passed_on[0], "preempted", False)) == elsewhere
    assert manager.quarantine.suspects["1"] == int(elsewhere)
    if elsewhere:
        known = ray.cloudpickle.loads(ray.cloudpickle.dumps(passed_on[0]))
        assert isinstance(known, WorkerLost) and known.preempted and describe(known).worker_lost


def test_a_node_that_starts_nothing_for_long_is_asked_and_its_trials_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, killed, answers = [], [], {"1": True, "2": False}
    monkeypatch.setattr(quarantine, "ASK_SECONDS", -1.0)
    monkeypatch.setattr(ray, "kill", killed.append)

    def probe(name: str) -> Any:
        asked.append(name)
        return SimpleNamespace(failed=lambda: answers[name])

    monkeypatch.setattr(lost_worker, "StartTest", probe)
    manager = managed(monkeypatch, {"a": "1", "b": "1", "c": "2", "d": "3"})
    monkeypatch.setattr(lost_worker.RayActorManager, "_actor_start_resolved", lambda *_, **__: None)
    manager._actor_start_resolved("d", "future")
    manager._look()
    manager._look()
    assert sorted(asked) == ["1", "1", "2"]
    assert killed[:2] == ["handle of a", "handle of b"] and not {"handle of c", "handle of d"} & set(killed)
    assert list(manager.quarantine.nodes) == ["1"]


def managed(monkeypatch: pytest.MonkeyPatch, where: dict[str, str]) -> Any:
    """Ray Tune's manager of actors that lie on these nodes, without a Ray."""
    monkeypatch.setattr(lost_worker, "node_of", lambda group: group)
    manager: Any = object.__new__(type("ActorManager", (_ActorManager,), {"quarantine": Quarantine()}))
    manager._begun, manager._asked, manager._probes = set(), {}, {}
    manager._live_actors_to_ray_actors_resources = {
        actor: (f"handle of {actor}", SimpleNamespace(placement_group=name)) for actor, name in where.items()
    }
    return manager
