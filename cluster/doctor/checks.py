"""What the answers of all nodes mean: one finding per check, a problem or not. No Ray here, only judgement."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# Clocks this far apart (seconds) put files and log lines in the wrong order, and break signed requests to buckets.
CLOCK_SECONDS = 2.0

# Above this Ray stops creating objects on a node.
RAY_DISK_LIMIT = 0.95


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    check: str
    ok: bool
    text: str

    def line(self) -> str:
        """Return the line as printed."""
        return f"{'ok' if self.ok else 'PROBLEM':<8} {self.check:<9} {self.text}"


@dataclass(frozen=True)
class NodeAnswer:
    """What a node said, or why it said nothing: `seen` is what `probe.look` returns."""

    address: str
    gpus: float
    seen: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    # How far this node's clock is ahead of the asking one, and how sure that is (seconds).
    clock: float = 0.0
    clock_error: float = 0.0

    @property
    def name(self) -> str:
        """Its host name and address."""
        return f"{self.seen['host']} ({self.address})" if self.seen else self.address


def check_nodes(expected: Sequence[str] | int, joined: Sequence[str], waited: float) -> Finding:
    """Compare who joined with who should: addresses, or how many nodes at least."""
    if isinstance(expected, int):
        ok, missing = len(joined) >= expected, f"{expected} are expected"
    else:
        absent = [address for address in expected if address not in joined]
        ok, missing = not absent, f"missing: {', '.join(absent)}"
    wanted = expected if isinstance(expected, int) else len(expected)
    text = f"{len(joined)} of {wanted} nodes joined"
    if ok:
        return Finding("nodes", True, f"{text}: {', '.join(joined)}")
    hint = "see /tmp/ray/session_latest/logs/monitor* on the head, and `ray start` on the node by hand"
    return Finding("nodes", False, f"{text} within {waited:.0f} s, {missing}; {hint}")


def check_answers(answers: Sequence[NodeAnswer]) -> list[Finding]:
    """Name the nodes that joined but did not answer."""
    return [Finding("node", False, f"{node.name} does not run tasks: {node.error}") for node in answers if node.error]


def check_versions(answers: Sequence[NodeAnswer]) -> list[Finding]:
    """Every package in one version on all nodes, and none missing."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for node in answers:
        for package, version in node.seen["versions"].items():
            found[package][version].append(node.name)
    bad = {package: by for package, by in found.items() if len(by) > 1 or "missing" in by}
    if not bad:
        same = ", ".join(f"{package} {next(iter(by))}" for package, by in found.items())
        return [Finding("versions", True, f"the same everywhere: {same}")]
    return [Finding("versions", False, f"{package} is {_where(by)}") for package, by in bad.items()]


def _where(by_version: dict[str, list[str]]) -> str:
    return "; ".join(f"{version} on {', '.join(names)}" for version, names in by_version.items())


def check_gpus(answers: Sequence[NodeAnswer]) -> list[Finding]:
    """TensorFlow must see as many GPUs as Ray hands out."""
    findings = []
    for node in answers:
        sees, drivers = node.seen["tensorflow_gpus"], node.seen["drivers"]
        if sees is None:
            continue
        devices = "; ".join(dict.fromkeys(drivers)) or "no NVIDIA driver"
        if sees == node.gpus:
            findings.append(Finding("GPUs", True, f"{node.name}: {sees} in Ray and in TensorFlow ({devices})"))
        else:
            text = f"{node.name}: Ray hands out {node.gpus:g}, TensorFlow sees {sees} ({devices})"
            findings.append(Finding("GPUs", False, f"{text}; check the driver and tensorflow[and-cuda] there"))
    return findings or [Finding("GPUs", True, "none in this cluster")]


def check_disks(answers: Sequence[NodeAnswer], least_gb: float) -> list[Finding]:
    """Room for Ray's session and the store on every node."""
    findings = []
    for node in answers:
        for folder, free in node.seen["free_gb"].items():
            used = node.seen["used"][folder]
            if free < least_gb:
                findings.append(
                    Finding("disk", False, f"{node.name}: {free:.1f} GB free in {folder}, need {least_gb:g}")
                )
            elif used > RAY_DISK_LIMIT:
                text = f"{node.name}: {folder} is {used:.0%} full; Ray stops at {RAY_DISK_LIMIT:.0%}"
                findings.append(Finding("disk", False, text))
    least = min(free for node in answers for free in node.seen["free_gb"].values())
    return findings or [Finding("disk", True, f"at least {least:.1f} GB free on every node")]


def check_clocks(answers: Sequence[NodeAnswer]) -> list[Finding]:
    """Clocks agree."""
    off = [node for node in answers if abs(node.clock) - node.clock_error > CLOCK_SECONDS]
    if off:
        return [
            Finding("clock", False, f"{node.name} is {node.clock:+.1f} s off; run a time service (chrony) there")
            for node in off
        ]
    widest = max(abs(node.clock) for node in answers)
    return [Finding("clock", True, f"within {max(0.1, widest):.1f} s of each other")]


def check_token(answers: Sequence[NodeAnswer], head_status: int, outside: dict[str, int]) -> list[Finding]:
    """The cluster asks for the token, its files are private, and the dashboard is not open to the network.

    Args:
        answers: of all nodes.
        head_status: HTTP status of the dashboard on the head, asked without a token; 0 when it did not answer.
        outside: the same over the network, by the name of the node that asked.
    """
    findings = []
    if any(node.seen["auth_mode"] != "token" for node in answers) or head_status == 200:
        findings.append(Finding("token", False, "anyone may use this cluster: start Ray with RAY_AUTH_MODE=token"))
    for node in answers:
        mode = node.seen["token_mode"]
        if mode and int(mode, 8) & 0o077:
            findings.append(Finding("token", False, f"{node.name}: others can read the token (mode {mode}); chmod 600"))
    reached = [name for name, status in outside.items() if status == 200]
    if reached:
        text = f"the dashboard answers {', '.join(reached)} over the network: --dashboard-host=127.0.0.1"
        findings.append(Finding("token", False, text))
    if head_status == 0:
        findings.append(Finding("token", False, "the dashboard does not answer on the head; jobs cannot be submitted"))
    return findings or [
        Finding("token", True, "asked for by the cluster and the dashboard, readable by its owner only")
    ]


def check_shared(place: str, failed: dict[str, str], unseen: dict[str, list[str]]) -> list[Finding]:
    """What one node writes at a shared place, every other node reads.

    Args:
        place: path or URL.
        failed: by node, why it could not write there.
        unseen: by node, the nodes whose files it does not see.
    """
    findings = [Finding("shared", False, f"{place}: {name} {why}") for name, why in failed.items()]
    for name, others in unseen.items():
        if others:
            text = f"{place}: {name} does not see what {', '.join(others)} wrote; it is not one storage"
            findings.append(Finding("shared", False, text))
    return findings or [Finding("shared", True, f"{place}: written on every node, read on every other")]
