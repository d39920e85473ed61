"""Examine a running cluster before a sweep: all problems at once."""

import logging
import time
import uuid
from collections.abc import Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.doctor import checks, probe
from cluster.doctor.checks import CheckResult, NodeAnswer
from cluster.errors import one_line

# For an answer (seconds); a node that looks imports TensorFlow, if it has GPUs.
PATIENCE = 240.0


def examine(
    address: str, expected: Sequence[str] | int, shared: Sequence[str], least_gb: float, wait: float
) -> list[CheckResult]:
    """Join the cluster at `address` and return every result; the first is about the connection.

    Up to `wait` seconds pass until the `expected` nodes (addresses, or how many at least) have joined. Each must have
    `least_gb` of free disk, and read what the others write at the `shared` places (paths or URLs).
    """
    try:
        context = ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        return [CheckResult("cluster", False, f"cannot join Ray at {address}: {one_line(error)}")]
    try:
        ray.cloudpickle.register_pickle_by_value(probe)
        return [
            CheckResult("cluster", True, f"Ray answers at {context.address_info['address']}"),
            *_examine(expected, shared, least_gb, wait),
        ]
    finally:
        ray.shutdown()


def _examine(expected: Sequence[str] | int, shared: Sequence[str], least_gb: float, wait: float) -> list[CheckResult]:
    nodes = _wait_for(expected, wait)
    joined = [node["NodeManagerAddress"] for node in nodes]
    # All look at once; importing TensorFlow takes a while.
    looks = [_ask(node["NodeID"], probe.look, node["Resources"].get("GPU", 0.0) > 0) for node in nodes]
    answers = [_answer(node, look) for node, look in zip(nodes, looks, strict=True)]
    results = [checks.check_nodes(expected, joined, wait), *checks.check_answers(answers)]
    alive = [answer for answer in answers if not answer.error]
    if not alive:
        return results
    results += [*checks.check_versions(alive), *checks.check_gpus(alive)]
    results += [*checks.check_disks(alive, least_gb), *checks.check_clocks(alive)]
    head, *others = alive
    dashboard = ray._private.worker.get_dashboard_url() or ""
    inside = ray.get(_ask(head.node_id, probe.ask_dashboard, dashboard), timeout=PATIENCE)
    outside = _everywhere(others, probe.ask_dashboard, f"{head.address}:{dashboard.rpartition(':')[2]}")
    results += checks.check_token(alive, inside, outside)
    for place in shared:
        results += _shared(place, alive)
    return results


def _wait_for(expected: Sequence[str] | int, wait: float) -> list[dict[str, Any]]:
    """Return the nodes once all of the expected ones are there, or patience is at its end; the head comes first."""

    def order(node: dict[str, Any]) -> tuple[bool, list[int], str]:
        address = node["NodeManagerAddress"]
        numbers = [int(part) for part in address.split(".") if part.isdigit()]
        return "node:__internal_head__" not in node["Resources"], numbers, address

    deadline = time.monotonic() + wait
    while True:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        joined = [node["NodeManagerAddress"] for node in nodes]
        if checks.check_nodes(expected, joined, 0).ok or time.monotonic() > deadline:
            return sorted(nodes, key=order)
        time.sleep(1)


def _ask(node_id: str, function: Any, *arguments: Any) -> Any:
    """Have a function of `probe` run on a node, beside whatever runs there; return Ray's reference to its result."""
    here = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(function).remote(*arguments)


def _answer(node: dict[str, Any], look: Any) -> NodeAnswer:
    name = {"address": node["NodeManagerAddress"], "node_id": node["NodeID"]}
    gpus = node["Resources"].get("GPU", 0.0)
    try:
        seen = ray.get(look, timeout=PATIENCE)
        # Asked again once the worker is warm: the shorter the question, the surer the clock.
        before = time.time()
        there = ray.get(_ask(node["NodeID"], probe.clock), timeout=PATIENCE)
        after = time.time()
    except Exception as error:
        return NodeAnswer(**name, gpus=gpus, error=one_line(error))
    ahead, unsure = there - (before + after) / 2, (after - before) / 2
    return NodeAnswer(**name, gpus=gpus, seen=seen, clock=ahead, clock_error=unsure)


def _everywhere(nodes: Sequence[NodeAnswer], function: Any, *arguments: Any) -> dict[str, Any]:
    """Run a function of `probe` on nodes at once; return what each said, by its name."""
    references = {node.name: _ask(node.node_id, function, *arguments) for node in nodes}
    return {name: ray.get(reference, timeout=PATIENCE) for name, reference in references.items()}


def _shared(place: str, alive: Sequence[NodeAnswer]) -> list[CheckResult]:
    """Have every node write a file of its own at a shared place, read those of the others, and remove them."""
    nonce = uuid.uuid4().hex[:12]
    marks = {f".doctor-{nonce}-{node.address}": node for node in alive}
    writing = {mark: _ask(node.node_id, probe.write_mark, place, mark) for mark, node in marks.items()}
    failures = {mark: ray.get(why, timeout=PATIENCE) for mark, why in writing.items()}
    written = {mark: node for mark, node in marks.items() if not failures[mark]}
    missed = _everywhere(list(written.values()), probe.read_marks, place, list(written))
    _everywhere(list(written.values()), probe.remove_marks, place, list(written))
    failed = {marks[mark].name: why for mark, why in failures.items() if why}
    unseen = {name: [marks[mark].name for mark in unread] for name, unread in missed.items()}
    return checks.check_shared(place, failed, unseen)
