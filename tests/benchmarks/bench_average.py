"""What the mean of the weights over the epochs gains against the last weights, for trials that begin with the probe.

    python -m tests.benchmarks.bench_average DATASET --weights InceptionV3_notop.weights.h5 --size 139
    python -m tests.benchmarks.bench_average DATASET --weights FILE --size 299 --trials 62,1e-4,0.1 31,3e-4,0.3

DATASET is what `python -m trainables prepare` made. For each trial, by (unfrozen layers, learning rate, dropout), a row
for the probe's solution, the weights after the last epoch, the middle between the two, the mean of the epochs, and the
mean of the epochs and the start: what `weight_average: epochs` keeps. Test is read in each row: not for a choice, but
to see whether a choice by validation holds.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top")
    parser.add_argument("--size", type=int, default=139, help="of the photos, in pixels [139]")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--views", type=int, default=3, help="augmented pictures of each photo [3]")
    parser.add_argument("--trials", nargs="+", default=["62,1e-4,0", "31,3e-4,0.3", "31,1e-3,0.1", "62,3e-4,0.1"])
    parser.add_argument("--store", type=Path, help="folder for stored features [a temporary one]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-average-") as scratch:
        compare(options, options.store or Path(scratch))


def compare(options: argparse.Namespace, store: Path) -> None:
    """Train each trial once, and print its rows."""
    from trainables.device import prepare_tensorflow, usable_cores

    prepare_tensorflow()
    from trainables.config import Augmentation, TrialConfig
    from trainables.data.dataset import open_dataset
    from trainables.probe.head_start import find_start
    from trainables.training.worker import Worker

    worker = Worker(open_dataset(options.dataset), store, None, usable_cores())
    print(f"{'':56}{'validation macro F1, cross-entropy':38}test")
    for trial in options.trials:
        layers, rate, dropout = trial.split(",")
        config = TrialConfig(
            **{"weights": options.weights, "image_size": options.size, "precision": options.precision},
            **{"epochs": options.epochs, "patience": options.epochs, "augment_views": options.views},
            **{"head": "depths", "head_start": "probe", "head_learning_rate": 1e-4, "dense_units": 0, "l2": 0.0},
            **{"unfrozen_layers": int(layers), "learning_rate": float(rate), "dropout": float(dropout)},
            augmentation=Augmentation(vertical_flip=False),
        )
        config, start = find_start(worker, config)
        run = worker.start(config, [config.unfrozen_layers], start=start)
        test, passed = worker.part("test", config), [run.tail.weights()]
        for _ in range(config.epochs):
            run.run_epoch()
            passed.append(run.tail.weights())
        kept = {"probe": passed[:1], "last epoch": passed[-1:], "middle of both": [passed[0], passed[-1]]}
        for name, states in {**kept, "mean of epochs": passed[1:], "mean with the start": passed}.items():
            run.tail.load(mean(states))
            figures = [run.evaluate(part).metrics for part in (run.validation, test)]
            scores = "".join(f"{each.macro_f1:.4f}, {each.cross_entropy:.3f}".ljust(38) for each in figures)
            print(f"{f'{layers} layers at {rate}, dropout {dropout}':36}{name:20}{scores}".rstrip(), flush=True)


def mean(states: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of weights, array by array."""
    return {name: sum(state[name] for state in states) / len(states) for name in states[0]}


if __name__ == "__main__":
    main()
