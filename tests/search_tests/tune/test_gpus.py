"""search/tune/gpus.py: GPUs that TensorFlow cannot use. `ray_here` has one in name only."""

from typing import Any

import pytest
import ray

from search.config.schema import Resources
from search.tune import gpus
from search.tune.gpus import nodes_with_usable_gpus
from search.tune.resources import Node, share
from search.tune.session import nodes_of_trials
from trainables.errors import UserError


def sees(monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]) -> list[Node]:
    """Have two nodes with two GPUs and a node without, on which TensorFlow sees so many; return them."""
    held = {"a": 2.0, "b": 2.0, "c": 0.0}
    nodes: list[dict[str, Any]] = [
        {"NodeID": name, "Alive": True, "NodeManagerHostname": name, "Resources": {"CPU": 8.0, "GPU": number}}
        for name, number in held.items()
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(gpus, "on_node", lambda node, _: node)
    monkeypatch.setattr(gpus, "_answer", counts.__getitem__)
    monkeypatch.setattr(ray, "wait", lambda asked, **_: (asked, []))
    return nodes_of_trials()


def test_a_gpu_that_tensorflow_does_not_see_is_said_and_the_cores_are_shared(
    ray_here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked on the node itself, whose GPU is one in name only."""
    monkeypatch.setattr(gpus, "count_gpus", lambda: 0)
    nodes = nodes_with_usable_gpus(Resources(), nodes_of_trials())
    assert [node.gpus for node in nodes] == [0] and share(Resources(), nodes).gpus == 0
    said = capsys.readouterr().err
    assert said.startswith("warning: TensorFlow cannot use the GPUs, so trials share the cores: ")
    assert " has 1 in Ray and 0 in TensorFlow; install TensorFlow with CUDA there" in said


def test_gpus_that_tensorflow_sees_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = sees(monkeypatch, {"a": 2, "b": 4})
    assert nodes_with_usable_gpus(Resources(), nodes) is nodes


def test_no_node_is_asked_where_no_gpu_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = sees(monkeypatch, {})
    assert nodes_with_usable_gpus(Resources(gpus_per_trial=0), nodes) is nodes
    assert nodes_with_usable_gpus(Resources(), nodes[2:]) == [Node(8, 0.0)]


@pytest.mark.parametrize(
    ("counts", "wanted", "named"),
    [
        ({"a": 2, "b": 0}, "auto", "all GPUs: b has 2 in Ray and 0 in TensorFlow; install"),
        ({"a": 1, "b": 2}, "auto", "all GPUs: a has 2 in Ray and 1 in TensorFlow; install"),
        ({"a": 0, "b": 0}, 0.5, "all GPUs: a has 2 in Ray and 0 in TensorFlow; b has 2 in Ray and 0 in TensorFlow"),
    ],
)
def test_gpus_asked_for_by_number_or_usable_on_some_nodes_only_are_refused(
    monkeypatch: pytest.MonkeyPatch, counts: dict[str, int], wanted: Any, named: str
) -> None:
    nodes = sees(monkeypatch, counts)
    with pytest.raises(UserError, match=named):
        nodes_with_usable_gpus(Resources(gpus_per_trial=wanted), nodes)
