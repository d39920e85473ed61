"""Examination of a running cluster before a sweep: all problems at once."""

import logging
import re
import socket
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.doctor import probe
from cluster.launcher import one_line

# Clocks this far apart (seconds) put files and log lines in the wrong order, and break signed requests to buckets.
CLOCK_SECONDS = 2.0

# Above this Ray stops creating objects on a node.
RAY_DISK_LIMIT = 0.95

# For an answer (seconds); a node that looks imports TensorFlow, if it has GPUs.
PATIENCE = 240.0


@dataclass(frozen=True)
class CheckResult:
    """One line of the doctor's report."""

    check: str
    ok: bool
    text: str

    def line(self) -> str:
        """Return the line as printed."""
        return f"{'ok' if self.ok else 'PROBLEM':<8} {self.check:<9} {self.text}"


@dataclass(frozen=True)
class NodeAnswer:
    """A node's answer: `seen` is what `probe.look` returns, `error` why it is empty."""

    address: str
    gpus: float
    seen: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    clock: float = 0.0  # seconds ahead of the asking node's
    clock_error: float = 0.0
    node_id: str = ""

    @property
    def name(self) -> str:
        """Its host name and address."""
        return f"{self.seen['host']} ({self.address})" if self.seen else self.address


def _problems(check: str, texts: Iterable[str], well: str) -> list[CheckResult]:
    """One result per problem, or a single one that says that all is well."""
    return [CheckResult(check, False, text) for text in texts] or [CheckResult(check, True, well)]


def check_nodes(expected: Sequence[str] | int, joined: Sequence[str], waited: float) -> CheckResult:
    """Compare the nodes that joined with those expected: addresses, or how many nodes at least."""
    if isinstance(expected, int):
        wanted, ok, missing = expected, len(joined) >= expected, f"{expected} are expected"
    else:
        absent = [address for address in expected if address not in joined]
        wanted, ok, missing = len(expected), not absent, f"missing: {', '.join(absent)}"
    text = f"{len(joined)} of {wanted} nodes joined"
    if ok:
        return CheckResult("nodes", True, f"{text}: {', '.join(joined)}")
    hint = "see /tmp/ray/session_latest/logs/monitor* on the head, and `ray start` on the node by hand"
    return CheckResult("nodes", False, f"{text} within {waited:.0f} s, {missing}; {hint}")


def check_answers(answers: Sequence[NodeAnswer]) -> list[CheckResult]:
    """Name the nodes that joined but did not answer."""
    silent = [node for node in answers if node.error]
    return [CheckResult("node", False, f"{node.name} does not run tasks: {node.error}") for node in silent]


def check_versions(answers: Sequence[NodeAnswer]) -> list[CheckResult]:
    """Every package in one version on all nodes, and none missing."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for node in answers:
        for package, version in node.seen["versions"].items():
            found[package][version].append(node.name)
    same = ", ".join(f"{package} {next(iter(by))}" for package, by in found.items())
    where = {
        package: "; ".join(f"{version} on {', '.join(names)}" for version, names in by.items())
        for package, by in found.items()
        if len(by) > 1 or "missing" in by
    }
    texts = [f"{package} is {places}" for package, places in where.items()]
    return _problems("versions", texts, f"the same everywhere: {same}")


def check_gpus(answers: Sequence[NodeAnswer]) -> list[CheckResult]:
    """TensorFlow must see as many GPUs as Ray hands out."""
    results = []
    for node in answers:
        sees, drivers = node.seen["tensorflow_gpus"], node.seen["drivers"]
        if sees is None:
            continue
        devices = "; ".join(dict.fromkeys(drivers)) or "no NVIDIA driver"
        if ok := sees == node.gpus:
            text = f"{node.name}: {sees} in Ray and in TensorFlow ({devices})"
        else:
            text = f"{node.name}: Ray hands out {node.gpus:g}, TensorFlow sees {sees} ({devices})"
            text += "; check the driver and tensorflow[and-cuda] there"
        results.append(CheckResult("GPUs", ok, text))
    return results or [CheckResult("GPUs", True, "none in this cluster")]


def check_disks(answers: Sequence[NodeAnswer], least_gb: float) -> list[CheckResult]:
    """Room for Ray's session and the store on every node."""
    texts = []
    for node in answers:
        for folder, free in node.seen["free_gb"].items():
            used = node.seen["used"][folder]
            if free < least_gb:
                texts.append(f"{node.name}: {free:.1f} GB free in {folder}, need {least_gb:g}")
            elif used > RAY_DISK_LIMIT:
                texts.append(f"{node.name}: {folder} is {used:.0%} full; Ray stops at {RAY_DISK_LIMIT:.0%}")
    least = min(free for node in answers for free in node.seen["free_gb"].values())
    return _problems("disk", texts, f"at least {least:.1f} GB free on every node")


def check_clocks(answers: Sequence[NodeAnswer]) -> list[CheckResult]:
    """Clocks agree."""
    off = [node for node in answers if abs(node.clock) - node.clock_error > CLOCK_SECONDS]
    texts = [f"{node.name} is {node.clock:+.1f} s off; run a time service (chrony) there" for node in off]
    widest = max(abs(node.clock) for node in answers)
    return _problems("clock", texts, f"within {max(0.1, widest):.1f} s of each other")


def check_token(answers: Sequence[NodeAnswer], head_status: int, outside: dict[str, int]) -> list[CheckResult]:
    """The cluster asks for the token, its files are private, and the dashboard is not open to the network.

    `head_status` is the HTTP status of the dashboard on the head, asked without a token, and 0 when it did not answer;
    `outside` is the same over the network, by the name of the node that asked.
    """
    texts = []
    if any(node.seen["auth_mode"] != "token" for node in answers) or head_status == 200:
        texts.append("anyone may use this cluster: start Ray with RAY_AUTH_MODE=token")
    for node in answers:
        mode = node.seen["token_mode"]
        if mode and int(mode, 8) & 0o077:
            texts.append(f"{node.name}: others can read the token (mode {mode}); chmod 600")
    if reached := [name for name, status in outside.items() if status == 200]:
        texts.append(f"the dashboard answers {', '.join(reached)} over the network: --dashboard-host=127.0.0.1")
    if head_status == 0:
        texts.append("the dashboard does not answer on the head; jobs cannot be submitted")
    return _problems("token", texts, "asked for by the cluster and the dashboard, readable by its owner only")


def check_shared(place: str, failed: dict[str, str], unseen: dict[str, list[str]]) -> list[CheckResult]:
    """Every node reads what others write at a place; `failed`: why a node did not write, `unseen`: whose files."""
    texts = [f"{place}: {name} {why}" for name, why in failed.items()]
    texts += [
        f"{place}: {name} does not see what {', '.join(others)} wrote; it is not one storage"
        for name, others in unseen.items()
        if others
    ]
    return _problems("shared", texts, f"{place}: written on every node, read on every other")


def examine(
    address: str, expected: Sequence[str] | int, shared: Sequence[str], least_gb: float, wait: float
) -> list[CheckResult]:
    """Join the cluster at `address` and return every result; the first is about the connection.

    The `expected` nodes (addresses, or how many at least) have `wait` seconds to join. Each must have `least_gb` of
    free disk, and read what the others write at the `shared` places (paths or URLs).
    """
    if re.fullmatch(r"[^/]+:\d+", address) and not _answers(address, wait):
        # Ray itself would wait for minutes.
        return [
            CheckResult("cluster", False, f"nothing answers at {address} within {wait:.0f} s; is Ray started there?")
        ]
    try:
        context = ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        return [CheckResult("cluster", False, f"cannot join Ray at {address}: {one_line(error)}")]
    try:
        ray.cloudpickle.register_pickle_by_value(probe)
        nodes = _wait_for(expected, wait)
        joined = [node["NodeManagerAddress"] for node in nodes]
        # All look at once; importing TensorFlow takes a while.
        looks = [_ask(node["NodeID"], probe.look, node["Resources"].get("GPU", 0.0) > 0) for node in nodes]
        answers = [_answer(node, look) for node, look in zip(nodes, looks, strict=True)]
        results = [CheckResult("cluster", True, f"Ray answers at {context.address_info['address']}")]
        results += [check_nodes(expected, joined, wait), *check_answers(answers)]
        alive = [answer for answer in answers if not answer.error]
        if not alive:
            return results
        results += [*check_versions(alive), *check_gpus(alive), *check_disks(alive, least_gb), *check_clocks(alive)]
        head, *others = alive
        dashboard = ray._private.worker.get_dashboard_url() or ""
        inside = ray.get(_ask(head.node_id, probe.ask_dashboard, dashboard), timeout=PATIENCE)
        outside = _everywhere(others, probe.ask_dashboard, f"{head.address}:{dashboard.rpartition(':')[2]}")
        results += check_token(alive, inside, outside)
        for place in shared:
            results += _shared(place, alive)
        return results
    finally:
        ray.shutdown()


def _answers(address: str, wait: float) -> bool:
    """Say whether something listens at HOST:PORT within `wait` seconds."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + wait
    while True:
        with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(min(1.0, wait))


def _wait_for(expected: Sequence[str] | int, wait: float) -> list[dict[str, Any]]:
    """Return the nodes, the head first, once the expected ones have joined or `wait` seconds are over."""

    def order(node: dict[str, Any]) -> tuple[bool, list[int], str]:
        address = node["NodeManagerAddress"]
        numbers = [int(part) for part in address.split(".") if part.isdigit()]
        return "node:__internal_head__" not in node["Resources"], numbers, address

    deadline = time.monotonic() + wait
    while True:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        joined = [node["NodeManagerAddress"] for node in nodes]
        if check_nodes(expected, joined, 0).ok or time.monotonic() > deadline:
            return sorted(nodes, key=order)
        time.sleep(1)


def _ask(node_id: str, function: Any, *arguments: Any) -> Any:
    """Have a function of `probe` run on a node, beside whatever runs there; return Ray's reference to its result."""
    here = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(function).remote(*arguments)


def _answer(node: dict[str, Any], look: Any) -> NodeAnswer:
    name = {"address": node["NodeManagerAddress"], "node_id": node["NodeID"], "gpus": node["Resources"].get("GPU", 0.0)}
    try:
        seen = ray.get(look, timeout=PATIENCE)
        # Asked again once the worker is warm: the shorter the question, the surer the clock.
        before = time.time()
        there = ray.get(_ask(node["NodeID"], probe.clock), timeout=PATIENCE)
        after = time.time()
    except Exception as error:
        return NodeAnswer(**name, error=one_line(error))
    ahead, unsure = there - (before + after) / 2, (after - before) / 2
    return NodeAnswer(**name, seen=seen, clock=ahead, clock_error=unsure)


def _everywhere(nodes: Sequence[NodeAnswer], function: Any, *arguments: Any) -> dict[str, Any]:
    """Run a function of `probe` on nodes at once; return the answers by node name."""
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
    return check_shared(place, failed, unseen)
