"""One measured sweep of bench_scale, in a process of its own: Raretune's, or stock Ray Tune's with OptunaSearch.

python -m tests.benchmarks.scale_driver raretune FOLDER FIGURES.json --trials 200
"""

import argparse
import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.search.optuna import OptunaSearch

from search.config.schema import SweepConfig
from search.config.space import distributions
from search.tune.searcher import StudySearch
from tests.benchmarks.learning_curves import LearningCurveTrial, StockTrial
from tests.search_tests.example import sweep

EPOCHS = 9
SLOTS = 2


class Meter:
    """Seconds on the wall and of this thread's CPU that each call of a method takes, and what memory there was."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[float, float]]] = {}
        self.memory: list[int] = []

    def watch(self, owner: type, method: str, name: str, *, memory: bool = False) -> None:
        """Measure a method of a class from now on; with `memory`, the process's resident bytes before each call."""
        original: Callable[..., Any] = getattr(owner, method)
        calls = self.calls.setdefault(name, [])
        process = psutil.Process()

        @functools.wraps(original)
        def measured(*args: Any, **kwargs: Any) -> Any:
            if memory:
                self.memory.append(process.memory_info().rss)
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return original(*args, **kwargs)
            finally:
                calls.append((time.perf_counter() - wall, time.thread_time() - cpu))

        setattr(owner, method, measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=("raretune", "stock", "stock-sqlite"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["RAY_worker_niceness"] = "10"  # noqa: SIM112 - Ray spells it so
    meter = Meter()
    searcher = StudySearch if options.way == "raretune" else OptunaSearch
    meter.watch(searcher, "suggest", "suggest", memory=True)
    meter.watch(TuneController, "_on_training_result", "result")
    meter.watch(TuneController, "checkpoint", "snapshot")
    meter.watch(TuneController, "step", "step")
    config = settings(options.folder, options.trials, options.seed)
    started, cpu = time.perf_counter(), time.process_time()
    if options.way == "raretune":
        raretune(config)
    else:
        stock(config, in_memory=options.way == "stock")
    figures = {
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "memory": meter.memory,
        "calls": meter.calls,
    }
    options.figures.write_text(json.dumps(figures))


def settings(folder: Path, trials: int, seed: int) -> SweepConfig:
    """The sweep: TPE and ASHA over the default space, two trials at once, a checkpoint after each epoch."""
    return sweep(
        folder.parent,
        name="scale",
        experiment=str(folder),
        trials=trials,
        seed=seed,
        trial={"epochs": EPOCHS, "weights": "random"},
        resources={"concurrent_trials": SLOTS, "threads_per_trial": 1, "gpus_per_trial": 0},
        checkpoint_every=1,
        address="local",
    )


def raretune(config: SweepConfig) -> None:
    """Run it as `python -m search run` does."""
    from search.sweep import run_sweep

    run_sweep(config, LearningCurveTrial)


def stock(config: SweepConfig, *, in_memory: bool) -> None:
    """Run the same trials as Ray's documentation shows it, with warm workers and one checkpoint per trial kept."""
    import optuna
    import ray
    from ray.tune.schedulers import ASHAScheduler

    from search.tune.session import ray_session

    Path(config.experiment).mkdir(parents=True)
    database = f"sqlite:///{Path(config.experiment)}/study.db"
    with ray_session("local"):
        # What ray_session turns off for our own sweeps is part of the stock.
        for key in ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "TUNE_DISABLE_STRICT_METRIC_CHECKING"):
            os.environ.pop(key)
        tune.Tuner(
            tune.with_resources(StockTrial, {"CPU": 1}),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(
                    space=distributions(config.space),
                    metric=config.metric,
                    mode=config.mode,
                    seed=config.seed,
                    storage=None if in_memory else optuna.storages.RDBStorage(database),
                ),
                scheduler=ASHAScheduler(
                    time_attr="epoch",
                    metric=config.metric,
                    mode=config.mode,
                    max_t=EPOCHS,
                    grace_period=1,
                    reduction_factor=3,
                ),
                num_samples=config.trials,
                max_concurrent_trials=SLOTS,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="stock",
                storage_path=config.experiment,
                checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_frequency=1, checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()
        ray.shutdown()


if __name__ == "__main__":
    main()
