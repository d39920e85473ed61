"""Shares of the machine: trials at once, and what each gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.config.schema import Resources
from trainables.errors import UserError

# Below four threads a trial still gains from a further one, and what finished trials teach the sampler and the
# rungs is worth more than a second trial beside the first.
THREADS_WORTH_GIVING = 4


@dataclass(frozen=True)
class Node:
    """One machine of the cluster: its CPU cores and GPUs."""

    cpus: int
    gpus: float


@dataclass(frozen=True)
class Share:
    """What a trial gets (`threads` CPU threads, `gpus` GPUs, possibly a fraction) and how many run at once.

    With `grows`, `concurrent` is how many the present nodes hold; as many run as there is room for later.
    """

    concurrent: int
    threads: int
    gpus: float
    grows: bool = False

    @property
    def limit(self) -> int | None:
        """The most trials at once; None where the nodes that come and go decide.

        Ray Tune then always keeps one trial waiting, for which the autoscaler starts a node if it can.
        """
        return None if self.grows else self.concurrent

    def as_ray(self) -> dict[str, float]:
        """Return Ray's logical resources of one trial."""
        return {"CPU": float(self.threads), "GPU": self.gpus}


def share(settings: Resources, nodes: Sequence[Node], grows: bool = False) -> Share:
    """Divide the nodes among trials.

    `auto`: one GPU per trial where there are any; as many trials as the GPUs hold, or else (where no better division
    was measured, see search/forecast/measure.py) one per four cores; and for each trial an equal part of its node's
    cores.

    Args:
        grows: nodes come when asked for (search/tune/autoscaling.py): `concurrent_trials` may then be more than the
            present nodes hold, and does not say what each of them is to hold.

    Raises:
        UserError: no node can hold a single trial.
    """
    most_gpus = max(node.gpus for node in nodes)
    gpus = float(most_gpus >= 1) if settings.gpus_per_trial == "auto" else float(settings.gpus_per_trial)
    if gpus > most_gpus:
        raise UserError(f"resources.gpus_per_trial: {gpus:g}, but the largest node has {most_gpus:g} GPUs")
    if settings.threads_per_trial != "auto":
        threads = settings.threads_per_trial
    else:
        wanted = settings.model_copy(update={"concurrent_trials": "auto"}) if grows else settings
        threads = min(_threads(wanted, node, gpus, len(nodes)) for node in nodes if node.gpus >= gpus)
    fitting = sum(min(node.cpus // threads, _slots(node, gpus) if gpus else node.cpus) for node in nodes)
    if fitting == 0:
        most = max(node.cpus for node in nodes)
        raise UserError(
            f"resources: no node holds a trial with {threads} threads and {gpus:g} GPUs; the largest has {most} cores"
        )
    if settings.concurrent_trials == "auto":
        return Share(fitting, threads, gpus, grows)
    concurrent = settings.concurrent_trials if grows else min(settings.concurrent_trials, fitting)
    return Share(concurrent, threads, gpus)


def fits(node: Node, slot: Mapping[str, float]) -> bool:
    """Say whether an empty node holds what `slot` asks for, in Ray's terms."""
    return node.cpus >= slot.get("CPU", 0) and node.gpus >= slot.get("GPU", 0)


def _threads(settings: Resources, node: Node, gpus: float, nodes: int) -> int:
    """An equal part of the node's cores."""
    if settings.concurrent_trials != "auto":
        trials = -(-settings.concurrent_trials // nodes)
    elif gpus:
        trials = _slots(node, gpus)
    else:
        trials = node.cpus // THREADS_WORTH_GIVING
    return max(1, node.cpus // max(1, trials))


def _slots(node: Node, gpus: float) -> int:
    """How many trials with so much of a GPU each a node holds: a part of one lies on one GPU, as Ray deals them."""
    if gpus < 1:
        return int(node.gpus) * int(1 / gpus + 1e-9)
    return int(node.gpus / gpus + 1e-9)
