"""Wait for the first node of a cluster that Ray's autoscaler grows.

A cluster whose head offers no CPUs (as in cluster/aws.yaml, gcp.yaml and KubeRay's files) is taken for one that grows,
from no workers on. A trial's share follows from a node's size, so the first node is asked for by placement groups, and
waited for. Groups live no longer than their driver: one that is killed leaves no request behind that keeps machines
running. From then on the autoscaler gets the trials' own requests.
"""

import time
from collections.abc import Sequence

import ray
from ray.util import placement_group, remove_placement_group

from search.config.schema import Resources
from search.tune.resources import Node, fits
from search.tune.session import nodes_of_trials
from trainables.errors import UserError

PATIENCE_SECONDS = 1800.0
"""How long the first node may take: machines of the spot market can be out for a while."""

_SECONDS_BETWEEN_LOOKS = 1.0


def cluster_grows() -> bool:
    """Say whether the cluster's nodes come when asked for: its head offers no CPUs."""
    return any(node["Alive"] and not node["Resources"].get("CPU") for node in ray.nodes())


def first_nodes(settings: Resources, trials: int, patience: float = PATIENCE_SECONDS) -> Sequence[Node]:
    """Return the nodes that trials may use, after asking for slots and waiting where none can hold a trial yet.

    Args:
        trials: how many the sweep has; no more slots than these are asked for.
        patience: in seconds.

    Raises:
        UserError: no node came within `patience`.
    """
    slot = slot_of(settings)
    nodes = nodes_of_trials()
    if any(fits(node, slot) for node in nodes):
        return nodes
    print(f"waiting      no node offers {_words(slot)} yet; the autoscaler may start some", flush=True)
    wanted = 1 if settings.concurrent_trials == "auto" else min(settings.concurrent_trials, trials)
    # A group for each slot, not one for all: a cluster that cannot grow so far would start nothing for that one.
    asked = [placement_group([slot]) for _ in range(wanted)]
    started = time.monotonic()
    try:
        while time.monotonic() - started < patience:
            nodes = nodes_of_trials()
            if any(fits(node, slot) for node in nodes):
                print(f"waited       {time.monotonic() - started:.0f} s for the first node", flush=True)
                return nodes
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        for group in asked:
            remove_placement_group(group)
    raise UserError(
        f"resources: no node that offers {_words(slot)} came in {patience / 60:g} minutes; "
        "`ray status` on the head says what the autoscaler tries, and the cluster file what a worker has"
    )


def slot_of(settings: Resources) -> dict[str, float]:
    """Return the least that a trial takes of a node, in Ray's terms, as far as it is known before there is a node."""
    cpus = 1.0 if settings.threads_per_trial == "auto" else float(settings.threads_per_trial)
    gpus = 0.0 if settings.gpus_per_trial == "auto" else float(settings.gpus_per_trial)
    return {"CPU": cpus} | ({"GPU": gpus} if gpus else {})


def _words(slot: dict[str, float]) -> str:
    if "GPU" not in slot:
        return f"{slot['CPU']:g} CPU{'s' if slot['CPU'] > 1 else ''}"
    gpu = "a GPU" if slot["GPU"] == 1 else f"{slot['GPU']:g} GPUs" if slot["GPU"] > 1 else f"{slot['GPU']:g} of a GPU"
    return gpu if slot["CPU"] == 1 else f"{gpu} with {slot['CPU']:g} CPUs"
