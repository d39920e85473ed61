"""Where a head on several depths is best begun: with the probe, after epochs of its own, or at random; over seeds.

    python -m tests.benchmarks.bench_start DATASET --weights InceptionV3_notop.weights.h5 --size 139
    python -m tests.benchmarks.bench_start DATASET --weights FILE --size 299 --starts probe warm --units 0

DATASET is what `python -m trainables prepare` made. Every start trains with the same seeds, on the photos as they are;
a row for each run: validation macro F1 by epoch, and test's with the best epoch's weights. Then the mean of each start
and how far the first is from it, with the standard error over the seeds. Test has no say in a choice.
"""

import argparse
import statistics
import time
from typing import Any

from tests.benchmarks.trial_runs import open_worker, parser_of, trial_of

# The head's learning rate by its start: what is drawn has further to go than the probe's solution.
STARTS = {"probe": 1e-4, "warm": 1e-3, "random": 1e-3}
Scores = tuple[float, float]  # macro F1 of validation, of test


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--starts", nargs="+", default=[*STARTS], choices=STARTS)
    parser.add_argument("--units", type=int, nargs="+", default=[0, 256], help="of the dense layer [0 256]")
    parser.add_argument("--trial", default="31,2e-4,0.1", help="unfrozen layers, learning rate, dropout [31,2e-4,0.1]")
    options = parser.parse_args()
    with open_worker(options.dataset, options.store) as worker:
        compare(options, worker)


def compare(options: argparse.Namespace, worker: Any) -> None:
    """Train each start with each seed, and print the rows."""
    from trainables.config import Augmentation
    from trainables.data.folds import PARTED
    from trainables.probe.head_start import find_start

    plain = Augmentation.model_validate(dict.fromkeys(Augmentation.model_fields, 0))

    def train(start_name: str, units: int, seed: int) -> Scores:
        began = time.monotonic()
        head = {"head_start": start_name, "head_learning_rate": STARTS[start_name], "dense_units": units}
        same = {"augment_views": 1, "augmentation": plain, "weight_average": "epochs"}
        config = trial_of(options, options.trial, seed=seed, **head, **same)
        worker.fill(PARTED, config, [config.unfrozen_layers])
        config, start = find_start(worker, config)
        run = worker.start(config, [config.unfrozen_layers], start=start)
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
