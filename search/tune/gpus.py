"""GPUs that Ray hands out and TensorFlow cannot use: a driver without CUDA's libraries, or Apple's."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray

from search.config.schema import Resources
from search.tune.resources import Node
from search.tune.session import nodes_of_trials, on_node
from trainables.device import GPU_REMEDY, count_gpus
from trainables.errors import UserError

# Importing TensorFlow on a busy machine takes long.
_ANSWER_SECONDS = 240.0


def nodes_with_usable_gpus(settings: Resources, nodes: Sequence[Node]) -> Sequence[Node]:
    """Return the nodes for trials, without GPUs where TensorFlow sees none on any of them: trials share their cores.

    Args:
        nodes: those that trials may use, as Ray describes them.

    Raises:
        UserError: TensorFlow sees too few GPUs, and they were asked for by number or exist on some nodes only.
    """
    if settings.gpus_per_trial == 0 or not any(node.gpus for node in nodes):
        return nodes
    up = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) > 0]
    asked = {node["NodeID"]: on_node(node["NodeID"], count_gpus) for node in up}
    ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=_ANSWER_SECONDS)
    seen = {node: _answer(answer) for node, answer in asked.items() if answer in ready}
    # A node that does not answer is another fault's affair (search/tune/quarantine.py).
    blind = [node for node in up if seen.get(node["NodeID"], sys.maxsize) < node["Resources"]["GPU"]]
    if not blind:
        return nodes
    counts = [(node["NodeManagerHostname"], node["Resources"]["GPU"], seen[node["NodeID"]]) for node in blind]
    where = "; ".join(f"{host} has {has:g} in Ray and {sees} in TensorFlow" for host, has, sees in counts)
    if settings.gpus_per_trial != "auto" or len(blind) < len(up) or any(sees for _, _, sees in counts):
        raise UserError(f"resources: TensorFlow cannot use all GPUs: {where}; {GPU_REMEDY}")
    line = f"warning: TensorFlow cannot use the GPUs, so trials share the cores: {where}; {GPU_REMEDY}"
    print(line, file=sys.stderr, flush=True)
    return [replace(node, gpus=0.0) for node in nodes_of_trials()]


def _answer(reference: Any) -> int:
    try:
        return int(ray.get(reference))
    except ray.exceptions.RayError:
        return sys.maxsize
