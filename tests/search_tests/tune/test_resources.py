"""search/tune/resources.py: how trials share the machine."""

import pytest

from search.config.schema import Resources
from search.tune.resources import Node, Share, share
from trainables.errors import UserError

LAPTOP, SERVER, GPU = Node(2, 0), Node(16, 0), Node(16, 4)


@pytest.mark.parametrize(
    ("settings", "nodes", "shared"),
    [
        ({}, [LAPTOP], Share(1, 2, 0)),
        ({}, [Node(1, 0)], Share(1, 1, 0)),
        ({}, [SERVER], Share(4, 4, 0)),
        ({}, [SERVER, SERVER], Share(8, 4, 0)),
        ({"concurrent_trials": 2}, [LAPTOP], Share(2, 1, 0)),
        ({"concurrent_trials": 3}, [SERVER], Share(3, 5, 0)),
        ({"concurrent_trials": 4}, [SERVER, SERVER], Share(4, 8, 0)),
        ({"threads_per_trial": 1}, [LAPTOP], Share(2, 1, 0)),
        ({"threads_per_trial": 1, "concurrent_trials": 1}, [LAPTOP], Share(1, 1, 0)),
        ({"concurrent_trials": 9, "threads_per_trial": 2}, [LAPTOP], Share(1, 2, 0)),
        ({}, [GPU], Share(4, 4, 1)),
        ({"gpus_per_trial": 0.5}, [GPU], Share(8, 2, 0.5)),
        ({"gpus_per_trial": 0.25}, [Node(16, 1)], Share(4, 4, 0.25)),
        ({"gpus_per_trial": 0.3}, [Node(16, 1)], Share(3, 5, 0.3)),
        ({"gpus_per_trial": 0.6}, [Node(16, 2)], Share(2, 8, 0.6)),
        ({"gpus_per_trial": 0.4}, [GPU], Share(8, 2, 0.4)),
        ({"gpus_per_trial": 0.1}, [Node(32, 1)], Share(10, 3, 0.1)),
        ({"gpus_per_trial": 2}, [GPU], Share(2, 8, 2)),
        ({"gpus_per_trial": 0}, [GPU], Share(4, 4, 0)),
        ({}, [GPU, LAPTOP], Share(4, 4, 1)),
    ],
)
def test_trials_share_the_cores_and_gpus(settings: dict[str, object], nodes: list[Node], shared: Share) -> None:
    assert share(Resources.model_validate(settings), nodes) == shared


@pytest.mark.parametrize(
    ("settings", "part", "limit"),
    [
        ({}, Share(4, 4, 1, grows=True), None),
        ({"gpus_per_trial": 0.5}, Share(8, 2, 0.5, grows=True), None),
        ({"concurrent_trials": 32}, Share(32, 4, 1), 32),
        ({"concurrent_trials": 2}, Share(2, 4, 1), 2),
    ],
)
def test_where_nodes_come_when_asked_for_they_or_a_stated_number_are_the_limit(
    settings: dict[str, object], part: Share, limit: int | None
) -> None:
    """A trial's threads are what it can have on a node that is full, however few trials run at first."""
    found = share(Resources.model_validate(settings), [GPU], grows=True)
    assert (found, found.limit) == (part, limit)
    assert share(Resources(), [GPU]).limit == 4


@pytest.mark.parametrize("cores", range(1, 65))
@pytest.mark.parametrize("wanted", ["auto", 1, 2, 3, 7, 64])
def test_cores_are_never_given_twice(cores: int, wanted: int | str) -> None:
    part = share(Resources.model_validate({"concurrent_trials": wanted}), [Node(cores, 0)])
    assert part.concurrent * part.threads <= cores
    assert part.concurrent == (min(cores, int(wanted)) if wanted != "auto" else max(1, cores // 4))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"threads_per_trial": 3},
            "resources: no node holds a trial with 3 threads and 0 GPUs; the largest has 2 cores",
        ),
        ({"gpus_per_trial": 0.5}, "resources.gpus_per_trial: 0.5, but the largest node has 0 GPUs"),
    ],
)
def test_what_no_node_can_hold_is_refused(settings: dict[str, object], line: str) -> None:
    with pytest.raises(UserError, match=f"^{line}$"):
        share(Resources.model_validate(settings), [LAPTOP])


def test_ray_is_told_cores_and_gpus() -> None:
    assert Share(2, 4, 0.5).as_ray() == {"CPU": 4.0, "GPU": 0.5}
