from pathlib import Path

from tests.benchmarks.bench_worker import settings, train
from trainables.data.dataset import Dataset


def test_the_benchmark_of_a_worker_runs_the_trials_that_a_sweep_runs(small_dataset: Dataset, tmp_path: Path) -> None:
    resident, costs = train(settings(small_dataset, tmp_path), 2)
    assert len(resident) == len(costs) == 2
    assert min(resident) > 10**8
    assert all(0 < cost < 60 for cost in costs)
