"""search/tune/autoscaling.py: clusters whose nodes come when asked for; with Ray's own answers played."""

from typing import Any

import pytest

from search.config.schema import Resources
from search.tune import autoscaling
from search.tune.autoscaling import cluster_grows, first_nodes, slot_of
from search.tune.resources import Node
from trainables.errors import UserError

HEAD = {"Alive": True, "Resources": {"memory": 1.0}}
WORKER = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}}


class Cluster:
    """A head without CPUs, and workers that come after so many looks once a slot was asked for."""

    def __init__(self, *workers: dict[str, Any], after: int = 2) -> None:
        self.nodes = [HEAD, *workers]
        self.after = after
        self.asked: list[dict[str, float]] = []
        self.standing = 0

    def ask(self, bundles: list[dict[str, float]]) -> int:
        self.asked += bundles
        self.standing += 1
        return len(self.asked)

    def withdraw(self, group: int) -> None:
        self.standing -= 1

    def sleep(self, seconds: float) -> None:
        self.after -= 1
        if self.asked and self.after == 0:
            self.nodes.append(WORKER)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    played = Cluster()
    monkeypatch.setattr("ray.nodes", lambda: played.nodes)
    monkeypatch.setattr(autoscaling, "placement_group", played.ask)
    monkeypatch.setattr(autoscaling, "remove_placement_group", played.withdraw)
    monkeypatch.setattr("time.sleep", played.sleep)
    return played


def resources(**values: Any) -> Resources:
    return Resources.model_validate(values)


@pytest.mark.parametrize(
    ("nodes", "grows"),
    [
        ([HEAD], True),
        ([HEAD, WORKER], True),
        ([{"Alive": True, "Resources": {"CPU": 0.0}}, WORKER], True),
        ([WORKER], False),
        ([{"Alive": False, "Resources": {}}, WORKER], False),
    ],
)
def test_a_cluster_with_a_node_that_offers_no_cpus_is_one_that_grows(
    cluster: Cluster, nodes: list[dict[str, Any]], grows: bool
) -> None:
    cluster.nodes = nodes
    assert cluster_grows() is grows


def test_a_slot_is_asked_for_and_its_node_waited_for(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert first_nodes(resources(gpus_per_trial=1), 20) == [Node(8, 1)]
    assert cluster.asked == [{"CPU": 1, "GPU": 1}]
    assert cluster.standing == 0  # Whatever is asked for further, trials ask themselves.
    first, second = capsys.readouterr().out.splitlines()
    assert first == "waiting      no node offers a GPU yet; the autoscaler may start some"
    assert second.startswith("waited ")


def test_as_many_slots_are_asked_for_as_trials_are_to_run_at_once(cluster: Cluster) -> None:
    first_nodes(resources(gpus_per_trial=0.5, threads_per_trial=4, concurrent_trials=3), 20)
    assert cluster.asked == [{"CPU": 4, "GPU": 0.5}] * 3
    assert cluster.standing == 0


def test_no_more_slots_are_asked_for_than_there_are_trials(cluster: Cluster) -> None:
    first_nodes(resources(concurrent_trials=8), 2)
    assert cluster.asked == [{"CPU": 1}] * 2


@pytest.mark.parametrize("settings", [{}, {"gpus_per_trial": 1, "threads_per_trial": 8}])
def test_a_worker_that_is_there_is_not_waited_for(cluster: Cluster, settings: dict[str, Any]) -> None:
    cluster.nodes.append(WORKER)
    assert first_nodes(resources(**settings), 20) == [Node(8, 1)]
    assert cluster.asked == []


def test_a_node_that_never_comes_is_one_line_and_nothing_stays_asked_for(cluster: Cluster) -> None:
    line = r"^resources: no node that offers 2 GPUs with 4 CPUs came in 0 minutes; `ray status` [^\n]+$"
    with pytest.raises(UserError, match=line):
        first_nodes(resources(gpus_per_trial=2, threads_per_trial=4), 20, patience=0.0)
    assert cluster.standing == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "1 CPU"),
        ({"threads_per_trial": 4}, "4 CPUs"),
        ({"gpus_per_trial": 0.25}, "0.25 of a GPU"),
        ({"gpus_per_trial": 1, "threads_per_trial": 8}, "a GPU with 8 CPUs"),
    ],
)
def test_what_is_waited_for_is_said_plainly(settings: dict[str, Any], words: str) -> None:
    assert autoscaling._words(slot_of(resources(**settings))) == words
