"""search/tune/lost_worker.py: a worker that Ray ended, whatever Ray calls it."""

from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayTaskError
from ray.tune.execution import tune_controller

from search.records import read_experiment
from search.sweep import run_sweep
from search.tune.failure import describe
from search.tune.lost_worker import WorkerLost, as_known, lost_workers_end_no_sweep
from search.tune.quarantine import Quarantine
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import SyntheticTrial
from trainables.device import usable_cores

# As Ray 2.60's memory monitor says it, cut short.
ENDED = (
    "2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 8aa7) was "
    "6.10GB used / 23.54GB limit (0.258969)\nOOM kill reason: Memory usage 6348967936B exceeded threshold of …"
)
REASON = "its worker was lost: Ray ended it, as its machine's memory was nearly full (6.10GB used / 23.54GB limit)"


class Share(SyntheticTrial):
    """Reports how many CPUs it was given."""

    def step(self) -> dict[str, Any]:
        return {**super().step(), "device": str(ray.get_runtime_context().get_assigned_resources()["CPU"])}


def test_a_trial_that_rays_memory_monitor_ended_goes_on_with_fewer_neighbours_and_so_do_the_others(
    ray_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, ended = ray.get, []

    def ended_once(future: Any, **options: Any) -> Any:
        result = get(future, **options)
        if isinstance(result, dict) and result.get("epoch") == 2 and result["config"]["run"].trial == 1 and not ended:
            ended.append(result)
            raise OutOfMemoryError(ENDED)
        return result

    monkeypatch.setattr(ray, "get", ended_once)
    resources = {"concurrent_trials": 2, "threads_per_trial": 1, "gpus_per_trial": 0}
    changes = {"early_stopping": {"kind": "none"}, "checkpoint_every": 1, "resources": resources}
    config = sweep(tmp_path, trials=4, trial={"epochs": 4}, **changes)
    run_sweep(config, Share)
    trials = read_experiment(config.experiment).trials
    assert ended and [trial.state for trial in trials] == ["COMPLETE"] * 4
    assert [sorted(trial.values) for trial in trials] == [[1, 2, 3, 4]] * 4
    assert [trial.device for trial in trials] == ["1.0", str(float(min(2, usable_cores()))), "1.0", "1.0"]
    assert (Path(config.experiment) / "trials" / "0001" / "error.txt").read_text().startswith(f"{REASON}\n")


@pytest.mark.parametrize(
    ("error", "lost_by_memory"), [(OutOfMemoryError(ENDED), True), (NodeDiedError("its node is gone"), False)]
)
def test_it_is_one_of_the_errors_that_ray_tune_knows(error: Exception, lost_by_memory: bool) -> None:
    known = ray.cloudpickle.loads(ray.cloudpickle.dumps(as_known(error)))  # Tune passes it on by a file.
    failure = describe(known)
    assert isinstance(known, WorkerLost) and str(error) in failure.details
    assert failure.worker_lost and failure.out_of_memory == lost_by_memory
    if lost_by_memory:
        assert failure.reason == REASON
        assert "lost 2 times: Ray ended" in describe(known, 2).reason


@pytest.mark.parametrize("error", [ActorDiedError(), RayTaskError("step", "", ValueError()), ValueError("ours")])
def test_what_ray_tune_knows_or_is_not_rays_stays_as_it_is(error: Exception) -> None:
    assert as_known(error) is error


def test_rays_own_is_back_afterwards() -> None:
    before = tune_controller.RayActorManager
    with pytest.raises(KeyError), lost_workers_end_no_sweep(Quarantine()):
        assert tune_controller.RayActorManager is not before
        raise KeyError
    assert tune_controller.RayActorManager is before
