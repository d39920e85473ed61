"""Quarantine of nodes that can start no process: a full disk, a broken environment. Their trials go elsewhere."""

import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup, placement_group_table

from search.tune.session import on_node

# The first may have been killed for a reason of its own.
STARTS_ALLOWED_TO_FAIL = 2
# Ray begins a process that has not registered within a minute anew, silently and for ever. So a node on which a trial
# has not begun for `ASK_SECONDS` is asked for a process that does nothing; where it answers, the set-up is long.
ASK_SECONDS, ANSWER_SECONDS, ASK_AGAIN_SECONDS = 30.0, 90.0, 600.0
_NODE = "ray.io/node-id"


@dataclass
class Quarantine:
    """The nodes of a sweep that are left out, by Ray's node id, for as long as its driver runs."""

    nodes: dict[str, str] = field(default_factory=dict)
    suspects: Counter[str] = field(default_factory=Counter)

    def start_failed(self, node: str, times: int = 1) -> bool:
        """Take note that a trial's process did not come up on a node; say whether the trial has somewhere else to go.

        The last node is never left out: there what went wrong is the trials' own failure.
        """
        up = _alive()
        if node not in up:
            return False
        others = up.keys() - self.nodes - {node}
        before = self.suspects[node]
        self.suspects[node] += times
        if before < STARTS_ALLOWED_TO_FAIL <= self.suspects[node]:
            if others:
                self.nodes[node] = up[node]
            goes_on = (
                f"trials go to {len(others)} other{'s' * (len(others) > 1)}" if others else "there is no other node"
            )
            said = f"{up[node]} can start no process, because of a full disk or a broken environment"
            print(f"warning: {said}; {goes_on}; `python -m cluster doctor` says more", file=sys.stderr, flush=True)
        return bool(others)

    def started(self, node: str) -> None:
        """Forget what failed on a node that has started a trial's process."""
        self.suspects.pop(node, None)

    def keep_off(self, trial: Trial, resources: Mapping[str, float] | None = None) -> None:
        """Have a trial that waits run on none of the nodes.

        Args:
            resources: what it gets from now on, in Ray's terms; None leaves that as it is.
        """
        if self.nodes:
            bundle = dict(resources or trial.placement_group_factory.required_resources)
            away = {_NODE: f"!in({','.join(self.nodes)})"}
            trial.update_resources(PlacementGroupFactory([bundle], bundle_label_selector=[away]))
        elif resources is not None:
            trial.update_resources(dict(resources))


def node_of(group: PlacementGroup) -> str:
    """Return the id of the node on which a trial's placement group lies; "" where that is not known."""
    placed: dict[int, str] = placement_group_table(group).get("bundles_to_node_id", {})
    return str(next(iter(placed.values()), ""))


class StartTest:
    """A process that does nothing, started on a node to see whether it can start any."""

    def __init__(self, node: str) -> None:
        self._began = time.monotonic()
        # By value: a function of this module would have the worker import Ray Tune first.
        self._answer = on_node(node, lambda: None)

    def failed(self) -> bool | None:
        """Say whether the node could not start it; None while that is not yet known."""
        ready, _ = ray.wait([self._answer], timeout=0)
        if not ready:
            return True if time.monotonic() - self._began > ANSWER_SECONDS else None
        try:
            ray.get(ready)
        except ray.exceptions.RayError:
            return True
        return False


def _alive() -> dict[str, str]:
    """Host and address of the nodes that are up and take trials, by Ray's node id."""
    up: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    return {node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})" for node in up}
