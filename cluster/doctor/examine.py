"""Examine a running cluster before a sweep: all problems at once."""

import ipaddress
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import yaml
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.doctor import probe
from cluster.doctor.checks import (
    Finding,
    NodeAnswer,
    check_answers,
    check_clocks,
    check_disks,
    check_gpus,
    check_nodes,
    check_shared,
    check_token,
    check_versions,
)
from cluster.errors import ClusterError

# Where `ray up` leaves the cluster file on the head.
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")

# For an answer (seconds); a node that looks imports TensorFlow, if it has GPUs.
PATIENCE = 240.0


@dataclass(frozen=True)
class Examination:
    """What is asked: `expected` nodes (addresses or a number), shared places, free disk (GB), and patience (s)."""

    expected: Sequence[str] | int
    shared: Sequence[str] = ()
    least_gb: float = 10.0
    wait: float = 120.0


def expected_nodes(file: Path | None) -> list[str] | int:
    """Return which nodes a cluster file promises; without a file, the one that `ray up` left on this head.

    Raises:
        ClusterError: there is no such file.
    """
    file = (file or BOOTSTRAP).expanduser()
    if not file.exists():
        raise ClusterError(f"how many nodes there should be is not known: {file} is not here; say --nodes N")
    described = yaml.safe_load(file.read_text())
    provider = described["provider"]
    if provider["type"] == "local" and "worker_ips" in provider:
        return [str(address) for address in (provider["head_ip"], *provider["worker_ips"])]
    kinds = described.get("available_node_types", {})
    head = described.get("head_node_type")
    return 1 + sum(int(kind.get("min_workers", 0)) for name, kind in kinds.items() if name != head)


def examine(address: str, ask: Examination) -> list[Finding]:
    """Join the cluster at `address` and return every finding; the first is about the connection."""
    try:
        context = ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        return [Finding("cluster", False, f"cannot join Ray at {address}: {' '.join(str(error).split())[:300]}")]
    try:
        ray.cloudpickle.register_pickle_by_value(probe)
        return [Finding("cluster", True, f"Ray answers at {context.address_info['address']}"), *_examine(ask)]
    finally:
        ray.shutdown()


def _examine(ask: Examination) -> list[Finding]:
    nodes = _wait_for(ask)
    joined = [node["NodeManagerAddress"] for node in nodes]
    looks = [_ask(node, probe.look, node["Resources"].get("GPU", 0.0) > 0) for node in nodes]
    answers = [_answer(node, look) for node, look in zip(nodes, looks, strict=True)]
    findings = [check_nodes(ask.expected, joined, ask.wait), *check_answers(answers)]
    alive = [(node, answer) for node, answer in zip(nodes, answers, strict=True) if not answer.error]
    if not alive:
        return findings
    seen = [answer for _, answer in alive]
    findings += [*check_versions(seen), *check_gpus(seen), *check_disks(seen, ask.least_gb), *check_clocks(seen)]
    findings += _token(alive)
    for place in ask.shared:
        findings += _shared(place, alive)
    return findings


def _wait_for(ask: Examination) -> list[dict[str, Any]]:
    """Return the nodes once all of the expected ones are there, or patience is at its end; the head comes first."""
    deadline = time.monotonic() + ask.wait
    while True:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        if (
            check_nodes(ask.expected, [node["NodeManagerAddress"] for node in nodes], 0).ok
            or time.monotonic() > deadline
        ):
            return sorted(nodes, key=lambda node: (not _is_head(node), _order(node["NodeManagerAddress"])))
        time.sleep(1)


def _order(address: str) -> tuple[int, str]:
    try:
        return int(ipaddress.ip_address(address)), ""
    except ValueError:
        return 0, address


def _is_head(node: dict[str, Any]) -> bool:
    return "node:__internal_head__" in node["Resources"]


def _ask(node: dict[str, Any], function: Any, *arguments: Any) -> Any:
    """Have a function of `probe` run on a node, beside whatever runs there; return Ray's reference to its result."""
    here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(function).remote(*arguments)


def _answer(node: dict[str, Any], look: Any) -> NodeAnswer:
    address, gpus = node["NodeManagerAddress"], node["Resources"].get("GPU", 0.0)
    try:
        seen = ray.get(look, timeout=PATIENCE)
        # Asked again once the worker is warm: the shorter the question, the surer the clock.
        before = time.time()
        there = ray.get(_ask(node, probe.clock), timeout=PATIENCE)
        after = time.time()
    except Exception as error:
        return NodeAnswer(address, gpus, error=" ".join(str(error).split())[:200])
    return NodeAnswer(address, gpus, seen, "", there - (before + after) / 2, (after - before) / 2)


def _everywhere(
    asked: Sequence[tuple[dict[str, Any], NodeAnswer]], function: Any, *arguments: Any
) -> list[tuple[str, Any]]:
    """Run a function of `probe` on nodes at once; return what each said, by its name."""
    references = [_ask(node, function, *arguments) for node, _ in asked]
    names = [answer.name for _, answer in asked]
    return list(zip(names, ray.get(references, timeout=PATIENCE), strict=True))


def _token(alive: list[tuple[dict[str, Any], NodeAnswer]]) -> list[Finding]:
    head, others = alive[0][0], alive[1:]
    dashboard = ray._private.worker.get_dashboard_url() or ""
    port = dashboard.rpartition(":")[2]
    inside = ray.get(_ask(head, probe.ask_dashboard, dashboard), timeout=PATIENCE)
    outside = dict(_everywhere(others, probe.ask_dashboard, f"{head['NodeManagerAddress']}:{port}"))
    return check_token([answer for _, answer in alive], inside, outside)


def _shared(place: str, alive: list[tuple[dict[str, Any], NodeAnswer]]) -> list[Finding]:
    nonce = uuid.uuid4().hex[:12]
    marks = {answer.name: f".doctor-{nonce}-{answer.address}" for _, answer in alive}
    writers = {mark: name for name, mark in marks.items()}
    writing = {answer.name: _ask(node, probe.write_mark, place, marks[answer.name]) for node, answer in alive}
    failed = {name: ray.get(why, timeout=PATIENCE) for name, why in writing.items()}
    failed = {name: why for name, why in failed.items() if why}
    written = [mark for name, mark in marks.items() if name not in failed]
    readers = [(node, answer) for node, answer in alive if answer.name not in failed]
    missed = _everywhere(readers, probe.read_marks, place, written)
    unseen = {name: [writers[mark] for mark in marks_unseen] for name, marks_unseen in missed}
    _everywhere(readers, probe.remove_marks, place, written)
    return check_shared(place, failed, unseen)
