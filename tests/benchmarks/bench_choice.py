"""How far can a trial's score be trusted: one holdout or five folds, one seed or three?

    python -m tests.benchmarks.bench_choice record DATASET --weights FILE --size 139 --out choice.jsonl   # half an hour
    python -m tests.benchmarks.bench_choice tell choice.jsonl

record: configurations drawn from the space of search/sweeps/default.yaml, each trained to its end with three seeds on
the dataset's own split, with the test photos' figures beside validation's; and on five folds for as many epochs of a
tail as one seed took in all (five of one epoch each, for five epochs). DATASET is what `python -m trainables prepare`
made.
tell: rank correlation of the scores with test; how long an epoch of a fold takes against one of the holdout; and sweeps
simulated from these curves: of each, one seed of every configuration is the sweep's, and the other two are the further
runs of `confirm: {trials: 3, seeds: 2}`. Test decides nothing.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SEEDS, FOLDS = 3, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    recorder = commands.add_parser("record")
    recorder.add_argument("dataset", type=Path)
    recorder.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top")
    recorder.add_argument("--size", type=int, default=139, help="of the photos, in pixels [139]")
    recorder.add_argument("--trials", type=int, default=20)
    recorder.add_argument("--store", type=Path, help="folder for stored features [a temporary one]")
    recorder.add_argument("--out", type=Path, required=True, help="where the rows go; those there are not run again")
    teller = commands.add_parser("tell")
    teller.add_argument("rows", type=Path)
    teller.add_argument("--sweeps", type=int, default=1000)
    options = parser.parse_args()
    if options.command == "tell":
        tell([json.loads(line) for line in options.rows.read_text().splitlines()], options.sweeps)
        return
    with tempfile.TemporaryDirectory(prefix="bench-choice-") as scratch:
        record(options, options.store or Path(scratch))


def record(options: argparse.Namespace, store: Path) -> None:
    """Train what is missing in the file, and write a row for each run."""
    from trainables.device import fast_precision, prepare_tensorflow, usable_cores

    prepare_tensorflow()
    from search.config.file import read_sweep
    from search.config.space import assemble
    from trainables.config import Validation
    from trainables.data.dataset import open_dataset
    from trainables.probe.head_start import start_run
    from trainables.training.worker import Worker

    sweep = read_sweep(Path("search/sweeps/default.yaml"), [f"dataset={options.dataset.resolve()}"])
    fixed = {**sweep.trial, "weights": options.weights, "image_size": options.size, "precision": fast_precision()}
    fixed |= {"augmentation": {"vertical_flip": False}, "patience": sweep.max_epochs}
    worker = Worker(open_dataset(options.dataset), store, None, usable_cores())
    old = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.is_file() else []
    done = {(row["trial"], row["kind"], row["seed"]) for row in old}
    plan = [int(value) for value in sweep.space["unfrozen_layers"].values]
    for trial, params in enumerate(drawn(options.trials)):
        for kind, seed in [*(("holdout", seed) for seed in range(SEEDS)), ("folds", 0)]:
            if (trial, kind, seed) in done:
                continue
            changes: dict[str, Any] = {"seed": seed}
            if kind == "folds":
                changes |= {
                    "epochs": max(1, sweep.max_epochs // FOLDS),
                    "validation": Validation(folds=FOLDS).model_dump(),
                }
            started = time.monotonic()
            run = start_run(worker, assemble({**fixed, **changes}, params), plan)
            row = {"trial": trial, "kind": kind, "seed": seed, "params": params, "setup": time.monotonic() - started}
            row |= {"val": [], "test": [], "seconds": []}
            test = worker.part("test", run.config)
            result: dict[str, Any] = {}
            while not result.get("done"):
                result = run.run_epoch()
                row["val"].append(result["val_macro_f1"])
                row["seconds"].append(result["epoch_seconds"])
                if kind == "holdout":
                    row["test"].append(run.judge(test).metrics.macro_f1)
            with options.out.open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def drawn(count: int) -> Iterator[dict[str, Any]]:
    """Yield configurations of the default space, drawn at random, the same in every run."""
    draw = random.Random(0)
    for _ in range(count):
        yield {
            "learning_rate": 10 ** draw.uniform(-4.5228787, -3),
            "dropout": draw.uniform(0, 0.6),
            "dense_units": draw.choice([0, 256]),
            "unfrozen_layers": draw.choice([0, 31, 62]),
        }


def tell(rows: Sequence[dict[str, Any]], sweeps: int) -> None:
    """Print the figures."""
    from scipy.stats import spearmanr

    holdout = {(row["trial"], row["seed"]): row for row in rows if row["kind"] == "holdout"}
    folds = {row["trial"]: row for row in rows if row["kind"] == "folds"}
    trials = sorted(trial for trial in folds if all((trial, seed) in holdout for seed in range(SEEDS)))

    def of_best_epoch(trial: int, seed: int, name: str, chosen_by: int | None = None) -> float:
        by = holdout[trial, seed if chosen_by is None else chosen_by]["val"]
        return float(holdout[trial, seed][name][by.index(max(by))])

    test = {trial: statistics.mean(of_best_epoch(trial, seed, "test") for seed in range(SEEDS)) for trial in trials}
    level = [100 * each for each in test.values()]
    print(f"{len(trials)} configurations, test macro F1 {min(level):.1f} to {max(level):.1f} points")
    for seed in range(SEEDS):
        others = [other for other in range(SEEDS) if other != seed]
        truth = [statistics.mean(of_best_epoch(trial, other, "test") for other in others) for trial in trials]
        scores = [of_best_epoch(trial, seed, "val") for trial in trials]
        print(f"holdout, seed {seed}: rank correlation with the other seeds' test {spearmanr(scores, truth)[0]:.3f}")
    scores = [max(folds[trial]["val"]) for trial in trials]
    print(f"{FOLDS} folds, as many epochs of a tail: {spearmanr(scores, list(test.values()))[0]:.3f}")
    # The first epoch of a run may fill the store.
    one = sum(statistics.mean(holdout[trial, seed]["seconds"][1:]) for trial in trials for seed in range(SEEDS)) / SEEDS
    five = sum(min(folds[trial]["seconds"]) for trial in trials)
    print(f"an epoch of a fold takes {five / FOLDS / one:.2f} times as long as one of the holdout")
    simulate(trials, of_best_epoch, test, sweeps)


def simulate(trials: Sequence[int], value: Any, test: dict[int, float], sweeps: int) -> None:
    """Print what confirming gains on test, over sweeps with another seed of each configuration."""
    draw, gains, flattered, changed = random.Random(0), [], [], 0
    for _ in range(sweeps):
        own = {trial: draw.randrange(SEEDS) for trial in trials}
        tried = draw.sample(list(trials), max(3, 3 * len(trials) // 4))  # Not always the same best.
        first = {trial: value(trial, own[trial], "val") for trial in tried}
        best = sorted(tried, key=lambda trial: -first[trial])[:3]
        again = {
            trial: [value(trial, seed, "val", own[trial]) for seed in range(SEEDS) if seed != own[trial]]
            for trial in best
        }
        chosen = max(best, key=lambda trial: statistics.mean([first[trial], *again[trial]]))
        gains.append(100 * (test[chosen] - test[best[0]]))
        flattered.append(100 * (first[best[0]] - statistics.mean(again[best[0]])))
        changed += chosen != best[0]
    mean, error = statistics.mean(gains), statistics.stdev(gains) / len(gains) ** 0.5
    print(f"{sweeps} simulated sweeps: confirming changes the choice in {changed / sweeps:.0%}")
    print(f"and gains {mean:+.2f} ± {error:.2f} points of test macro F1")
    print(f"the first choice had flattered itself by {statistics.mean(flattered):.2f} points of validation")


if __name__ == "__main__":
    main()
