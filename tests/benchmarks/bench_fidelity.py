"""Would small pictures rank a sweep's trials as its own do? Each trial again at another size, for as many epochs.

    python -m tests.benchmarks.bench_fidelity EXPERIMENT --size 139

EXPERIMENT is a finished sweep's folder. Prints, for each epoch that most of its trials ran, the rank correlation of
val_macro_f1 at both sizes, and where the best trial at the small size stands among the others at the sweep's own; and
how long an epoch takes at each.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from tests.benchmarks.trial_runs import add_size_and_store, open_worker

LEAST = 5  # trials at an epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    add_size_and_store(parser)
    options = parser.parse_args()
    from search.records import read_experiment

    experiment = read_experiment(options.experiment)
    with open_worker(Path(experiment.sweep["dataset"]), options.store) as worker:
        compare(experiment, options.size, worker)


def compare(experiment: Any, size: int, worker: Any) -> None:
    """Run the trials again at `size`, and print the table."""
    from scipy.stats import spearmanr

    from trainables.config import TrialConfig
    from trainables.probe.head_start import start_run

    trials = [trial for trial in experiment.trials if trial.values]
    plan = sorted({int(trial.config["unfrozen_layers"]) for trial in trials})
    own: dict[int, list[tuple[float, float]]] = {}
    seconds: tuple[list[float], list[float]] = ([], [])
    for trial in trials:
        config = TrialConfig.model_validate(trial.config).model_copy(update={"image_size": size})
        run = start_run(worker, config, plan)
        for epoch in trial.epochs:
            result: dict[str, Any] = run.run_epoch()
            number = int(result["epoch"])
            own.setdefault(number, []).append((trial.values[number], result["val_macro_f1"]))
            seconds[0].append(float(epoch["epoch_seconds"]))
            seconds[1].append(float(result["epoch_seconds"]))
            if result.get("done"):
                break
        print(f"trial {trial.number}: {number} epochs", flush=True)
    for number, pairs in own.items():
        if len(pairs) < LEAST:
            continue
        own_size, other = zip(*pairs, strict=True)
        rank = sorted(own_size, reverse=True).index(own_size[other.index(max(other))]) + 1
        correlation = spearmanr(own_size, other)[0]
        chosen = f"the best at {size} px is number {rank} at the sweep's own, of {len(pairs)}"
        print(f"epoch {number}: rank correlation {correlation:.2f}; {chosen}")
    print(f"an epoch: {statistics.median(seconds[0]):.1f} s, at {size} px {statistics.median(seconds[1]):.1f} s")


if __name__ == "__main__":
    main()
