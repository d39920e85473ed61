"""Where a head on several depths is best begun: with the probe, after epochs of its own, or at random; over seeds.

    python -m tests.benchmarks.bench_start DATASET --weights InceptionV3_notop.weights.h5 --size 139
    python -m tests.benchmarks.bench_start DATASET --weights FILE --size 299 --starts probe warm --units 0

DATASET is what `python -m trainables prepare` made. Every start trains with the same seeds, on the photos as they are;
a row for each run: validation macro F1 by epoch, and test's with the best epoch's weights. Then the mean of each start
and how far the first is from it, with the standard error over the seeds. Test has no say in a choice.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

# The head's learning rate by its start: what is drawn has further to go than the probe's solution.
STARTS = {"probe": 1e-4, "warm": 1e-3, "random": 1e-3}
Scores = tuple[float, float]  # macro F1 of validation, of test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top")
    parser.add_argument("--size", type=int, default=139, help="of the photos, in pixels [139]")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--starts", nargs="+", default=[*STARTS], choices=STARTS)
    parser.add_argument("--units", type=int, nargs="+", default=[0, 256], help="of the dense layer [0 256]")
    parser.add_argument("--trial", default="31,2e-4,0.1", help="unfrozen layers, learning rate, dropout [31,2e-4,0.1]")
    parser.add_argument("--store", type=Path, help="folder for stored features [a temporary one]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-start-") as scratch:
        compare(options, options.store or Path(scratch))


def compare(options: argparse.Namespace, store: Path) -> None:
    """Train each start with each seed, and print the rows."""
    from trainables.device import prepare_tensorflow, usable_cores

    prepare_tensorflow()
    from trainables.config import Augmentation, TrialConfig
    from trainables.data.dataset import open_dataset
    from trainables.data.folds import PARTED
    from trainables.probe.head_start import find_start
    from trainables.training.worker import Worker

    worker = Worker(open_dataset(options.dataset), store, None, usable_cores())
    layers, rate, dropout = options.trial.split(",")
    plain = Augmentation.model_validate(dict.fromkeys(Augmentation.model_fields, 0))

    def train(start_name: str, units: int, seed: int) -> Scores:
        began = time.monotonic()
        config = TrialConfig(
            **{"weights": options.weights, "image_size": options.size, "precision": options.precision},
            **{"epochs": options.epochs, "patience": options.epochs, "augment_views": 1, "seed": seed, "l2": 0.0},
            **{"head": "depths", "head_start": start_name, "head_learning_rate": STARTS[start_name]},
            **{"dense_units": units, "weight_average": "epochs", "unfrozen_layers": int(layers)},
            **{"learning_rate": float(rate), "dropout": float(dropout), "augmentation": plain},
        )
        worker.fill(PARTED, config, [int(layers)])
        config, start = find_start(worker, config)
        run = worker.start(config, [int(layers)], start=start)
        curve = [run.evaluate(run.validation).metrics.macro_f1]
        curve += [run.run_epoch()["val_macro_f1"] for _ in range(config.epochs)]
        run.tail.load(run.best_weights)
        test = run.evaluate(worker.part("test", config)).metrics.macro_f1
        words = ", ".join(f"{value:.3f}" for value in curve)
        name = f"{start_name}, {units} units, seed {seed}"
        print(f"{name:30}{words:40}test {test:.3f}  {time.monotonic() - began:4.0f} s", flush=True)
        return max(curve[1:]), test

    for units in options.units:
        found = {name: [train(name, units, seed) for seed in options.seeds] for name in options.starts}
        for name, scores in found.items():
            parts = []
            for which, split in enumerate(("validation", "test")):
                less = [first[which] - own[which] for first, own in zip(found[options.starts[0]], scores, strict=True)]
                error = statistics.stdev(less) / len(less) ** 0.5 if len(less) > 1 else float("nan")
                gap = f" ({options.starts[0]} is {statistics.mean(less):+.3f} ± {error:.3f} from it)"
                parts.append(f"{split} {statistics.mean(row[which] for row in scores):.3f}{gap if any(less) else ''}")
            print(f"{f'{name}, {units} units, mean':30}{', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
