"""Would small pictures rank a sweep's trials as its own do? Each trial again at another size, for as many epochs.

    python -m tests.benchmarks.bench_fidelity EXPERIMENT --size 139

EXPERIMENT is a finished sweep's folder. Prints, for each epoch that most of its trials ran, the rank correlation of
val_macro_f1 at both sizes, and where the best trial at the small size stands among the others at the sweep's own; and
how long an epoch takes at each.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

LEAST = 5  # trials at an epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--size", type=int, default=139, help="of the photos, in pixels [139]")
    parser.add_argument("--store", type=Path, help="folder for stored features [a temporary one]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-fidelity-") as scratch:
        compare(options, options.store or Path(scratch))


def compare(options: argparse.Namespace, store: Path) -> None:
    """Run the trials again, and print the table."""
    from trainables.device import prepare_tensorflow, usable_cores

    prepare_tensorflow()
    from scipy.stats import spearmanr

    from search.records import read_experiment
    from trainables.config import TrialConfig
    from trainables.data.dataset import open_dataset
    from trainables.probe.head_start import start_run
    from trainables.training.worker import Worker

    experiment = read_experiment(options.experiment)
    worker = Worker(open_dataset(Path(experiment.sweep["dataset"])), store, None, usable_cores())
    trials = [trial for trial in experiment.trials if trial.values]
    plan = sorted({int(trial.config["unfrozen_layers"]) for trial in trials})
    own: dict[int, list[tuple[float, float]]] = {}
    seconds: tuple[list[float], list[float]] = ([], [])
    for trial in trials:
        config = TrialConfig.model_validate(trial.config).model_copy(update={"image_size": options.size})
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
        chosen = f"the best at {options.size} px is number {rank} at the sweep's own, of {len(pairs)}"
        print(f"epoch {number}: rank correlation {correlation:.2f}; {chosen}")
    print(
        f"an epoch: {statistics.median(seconds[0]):.1f} s, at {options.size} px {statistics.median(seconds[1]):.1f} s"
    )


if __name__ == "__main__":
    main()
