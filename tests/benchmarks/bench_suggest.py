"""Time to suggest, and to report a result, in a study that holds so many trials already, without Ray.

    python -m tests.benchmarks.bench_suggest --sizes 10 100 1000 2000

Three searchers on the same trials: Raretune's, whose study is an SQLite file, Ray's OptunaSearch as it comes (study in
memory), and OptunaSearch with the same SQLite file. Figures are medians of CPU milliseconds in the driver's thread,
which a busy machine moves less than wall-clock time; each size begins from the same finished trials for all three.
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search.optuna import OptunaSearch

from search.config.schema import SweepConfig
from search.config.space import distributions
from search.config.trial_plan import Plan
from search.sampling.suggestions import blank_trial
from search.study.storage import open_storage
from search.tune.searcher import StudySearch
from search.tune.state import SweepState
from tests.benchmarks.learning_curves import noisy
from tests.search_tests.example import sweep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--repeats", type=int, default=15, help="suggestions per size")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    print(f"{'trials':>7} {'searcher':30}{'suggest, ms':>13}{'report, ms':>12}{'end, ms':>10}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        config = sweep(Path(scratch), name="optuna", trial={"epochs": 9, "weights": "random"})
        filled, trials = Path(scratch, "filled"), finished_trials(config, max(options.sizes))
        filled.mkdir()
        storage = open_storage(filled)
        study = optuna.create_study(study_name="optuna", storage=storage, direction="maximize")
        for size in sorted(options.sizes):
            study.add_trials(trials[len(study.get_trials(deepcopy=False)) : size])
            for name, make in SEARCHERS.items():
                folder = Path(scratch, f"{size}-{name}")
                shutil.copytree(filled, folder)
                figures = measure(make(config, folder, trials[:size]), config, options.repeats)
                print(f"{size:7} {name:30}{figures[0]:13.2f}{figures[1]:12.2f}{figures[2]:10.2f}", flush=True)


def finished_trials(config: SweepConfig, count: int) -> list[FrozenTrial]:
    """Random configurations with what ASHA would have left of their curves."""
    space, draw = distributions(config.space), random.Random(0)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = []
    for number in range(count):
        trial = blank_trial(number)
        trial.params, trial.distributions = study.ask(space).params, dict(space)
        whole = Plan(config, 1).trial_config(number, trial.params).model_dump()
        epochs = draw.choices([1, 3, 9], weights=[6, 2, 1])[0]
        trial.intermediate_values = dict(enumerate(noisy(whole)[:epochs], start=1))
        trial.user_attrs = {"config": whole, "seed": whole["seed"]}
        trial.state = TrialState.COMPLETE if epochs == 9 else TrialState.PRUNED
        trial.value = trial.intermediate_values[epochs]
        trial.datetime_complete = trial.datetime_start
        trials.append(trial)
    return trials


def raretune(config: SweepConfig, folder: Path, _: list[FrozenTrial]) -> OptunaSearch:
    study = optuna.load_study(study_name="optuna", storage=open_storage(folder))
    return StudySearch(Plan(config, 1), SweepState(), study)


def stock(config: SweepConfig, folder: Path, trials: list[FrozenTrial]) -> OptunaSearch:
    searcher = OptunaSearch(distributions(config.space), metric=config.metric, mode=config.mode, seed=0)
    searcher._ot_study.add_trials(trials)
    return searcher


def stock_sqlite(config: SweepConfig, folder: Path, _: list[FrozenTrial]) -> OptunaSearch:
    space = distributions(config.space)
    return OptunaSearch(space, metric=config.metric, mode=config.mode, seed=0, storage=open_storage(folder))


SEARCHERS: dict[str, Callable[[SweepConfig, Path, list[FrozenTrial]], OptunaSearch]] = {
    "Raretune (SQLite)": raretune,
    "OptunaSearch (memory)": stock,
    "OptunaSearch (SQLite)": stock_sqlite,
}


def measure(searcher: OptunaSearch, config: SweepConfig, repeats: int) -> tuple[float, float, float]:
    """Medians of CPU milliseconds to suggest, to report an epoch, and to end a trial, with another one running."""
    suggests, reports, ends = [], [], []
    searcher.suggest("beside")
    for index in range(repeats):
        trial_id = str(index)
        suggests.append(timed(lambda name=trial_id: searcher.suggest(name)))
        for epoch in (1, 2, 3):
            result: dict[str, Any] = {"epoch": epoch, "training_iteration": epoch, config.metric: 0.1 * epoch}
            if epoch < 3:
                reports.append(timed(lambda reported=result, name=trial_id: searcher.on_trial_result(name, reported)))
        ends.append(
            timed(lambda reported=result, name=trial_id: searcher.on_trial_complete(name, {**reported, "done": True}))
        )
    return statistics.median(suggests), statistics.median(reports), statistics.median(ends)


def timed(call: Callable[[], Any]) -> float:
    started = time.thread_time()
    call()
    return 1000 * (time.thread_time() - started)


if __name__ == "__main__":
    main()
