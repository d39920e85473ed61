"""What the mean of the weights over the epochs gains against the last weights, for trials that begin with the probe.

    python -m tests.benchmarks.bench_average DATASET --weights InceptionV3_notop.weights.h5 --size 139
    python -m tests.benchmarks.bench_average DATASET --weights FILE --size 299 --trials 62,1e-4,0.1 31,3e-4,0.3

DATASET is what `python -m trainables prepare` made. For each trial, by (unfrozen layers, learning rate, dropout), a row
for the probe's solution, the weights after the last epoch, the middle between the two, the mean of the epochs, and the
mean of the epochs and the start: what `weight_average: epochs` keeps. Test is read in each row: not for a choice, but
to see whether a choice by validation holds.
"""

import argparse
from typing import Any

from tests.benchmarks.trial_runs import open_worker, parser_of, trial_of


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--views", type=int, default=3, help="augmented pictures of each photo [3]")
    parser.add_argument("--trials", nargs="+", default=["62,1e-4,0", "31,3e-4,0.3", "31,1e-3,0.1", "62,3e-4,0.1"])
    options = parser.parse_args()
    with open_worker(options.dataset, options.store) as worker:
        compare(options, worker)


def compare(options: argparse.Namespace, worker: Any) -> None:
    """Train each trial once, and print its rows."""
    from trainables.config import Augmentation
    from trainables.probe.head_start import find_start

    print(f"{'':56}{'validation macro F1, cross-entropy':38}test")
    for trial in options.trials:
        layers, rate, dropout = trial.split(",")
        augmentation = Augmentation(vertical_flip=False)
        given = trial_of(options, trial, augment_views=options.views, augmentation=augmentation)
        config, start = find_start(worker, given)
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
