from pathlib import Path

from tests.benchmarks.bench_worker import train
from trainables.data.dataset import Dataset


def test_the_benchmark_of_a_worker_runs_the_trials_that_a_sweep_runs(small_dataset: Dataset, tmp_path: Path) -> None:
    run = {"dataset": str(small_dataset.folder), "store": str(tmp_path / "store"), "threads": 1, "plan": [0, 10, 20]}
    resident, costs = train(run | {"checkpoint_dir": str(tmp_path / "trial"), "checkpoint_every": 1}, 2)
    assert len(resident) == len(costs) == 2
    assert min(resident) > 10**8
    assert all(0 < cost < 60 for cost in costs)
