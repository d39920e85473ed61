"""What each shortcut of a sweep costs in macro F1, and what it gains in time and disk, against Keras `fit`.

    python -m tests.benchmarks.bench_quality ../shared/data/rare_families --weights InceptionV3_notop.weights.h5
    python -m tests.benchmarks.bench_quality PHOTOS --weights FILE --share 0.125 --ways 'stored float32' bfloat16

Every way trains the same configuration from the same seeds on the same split, judged on the same validation photos.
"Keras fit" is how the other searches of bench_sweep train: the whole network, on pictures augmented anew in every
epoch. Ways take turns in one process, so that a busy machine slows all of them; the first seed of a way fills its
store. "fills" are pictures through the frozen part per second, augmentation included; "epoch" the median seconds of an
epoch besides filling; differences and ratios are against the first way.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.benchmarks import sweep_peers
from tests.benchmarks.bench_sweep import chosen_dataset
from trainables.config import TrialConfig
from trainables.training.worker import Worker

SIZE = 139
FIT = "Keras fit"
WAYS: dict[str, dict[str, Any]] = {
    "stored float32": {},
    "a new view in every epoch": {"augment_views": 1000},
    "stored float16": {"store_dtype": "float16"},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, stored float16": {"precision": "bfloat16", "store_dtype": "float16"},
    FIT: {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of class folders")
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top, imagenet, or random")
    parser.add_argument("--share", type=float, default=1.0, help="of the families")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--unfrozen", type=int, default=31, help="layers")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help="[all]")
    arguments = parser.parse_args()
    from trainables.device import prepare_tensorflow

    cores = len(os.sched_getaffinity(0))
    prepare_tensorflow(cores)
    with tempfile.TemporaryDirectory() as scratch:
        dataset = chosen_dataset(arguments.photos, Path(scratch), arguments.share)
        worker = Worker(dataset, Path(scratch, "store"), None, cores)
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.ways}
        for seed in arguments.seeds:
            for name in arguments.ways:
                trial = config(arguments, seed, WAYS[name])
                rows[name].append((fit if name == FIT else train)(worker, trial))
                best, epoch = (rows[name][-1][key] for key in ("best", "epoch"))
                print(f"seed {seed}, {name}: best macro F1 {best:.4f}, an epoch {epoch:.1f} s", flush=True)
    print_table(rows)


def config(arguments: argparse.Namespace, seed: int, knobs: dict[str, Any]) -> TrialConfig:
    fixed = {
        "image_size": SIZE,
        "unfrozen_layers": arguments.unfrozen,
        "learning_rate": arguments.learning_rate,
        "weights": arguments.weights,
        "epochs": arguments.epochs,
        "patience": 100,
        "seed": seed,
    }
    return TrialConfig.model_validate({**fixed, **knobs})


def train(worker: Worker, config: TrialConfig) -> dict[str, Any]:
    """One run of ours; `fills` is a rate as the docstring says, None where all was stored."""
    run = worker.start(config)
    results = [{**run.run_epoch(), **asdict(worker.store_use.take())} for _ in range(config.epochs)]
    filled, fill_seconds = (sum(result[key] for result in results) for key in ("filled", "fill_seconds"))
    return {
        "best": max(result["val_macro_f1"] for result in results),
        "epoch": statistics.median(result["epoch_seconds"] - result["fill_seconds"] for result in results),
        "fills": filled / fill_seconds if filled else None,
        "bytes": sum(result["filled_bytes"] for result in results),
    }


def fit(worker: Worker, config: TrialConfig) -> dict[str, Any]:
    """One run of Keras."""
    import keras

    keras.backend.clear_session()
    train, validation = (worker.photos(split, config.image_size) for split in ("train", "validation"))
    task = sweep_peers.Task(
        train=(train.pixels, train.labels),
        validation=(validation.pixels, validation.labels),
        classes=worker.classes,
        weights=str(config.weights),
        trials=1,
        epochs=config.epochs,
        seed=config.seed,
        folder=Path(),
    )
    scores, times = [], [time.monotonic()]

    def report(_epoch: int, score: float) -> None:
        scores.append(score)
        times.append(time.monotonic())

    sweep_peers.fit(task, {knob: getattr(config, knob) for knob in sweep_peers.KNOBS}, report)
    epoch = statistics.median(second - first for first, second in itertools.pairwise(times))
    return {"best": max(scores), "epoch": epoch, "fills": None, "bytes": 0}


def print_table(rows: dict[str, Sequence[dict[str, Any]]]) -> None:
    print(f"\n{'way':28}{'macro F1':>10}{'difference':>12}{'epoch':>9}{'ratio':>8}{'fills':>8}{'ratio':>8}{'MB':>7}")
    base = next(iter(rows.values()))
    for name, runs in rows.items():
        differences = [run["best"] - other["best"] for run, other in zip(runs, base, strict=True)]
        epoch = statistics.median(run["epoch"] for run in runs)
        ratio = statistics.median(other["epoch"] / run["epoch"] for run, other in zip(runs, base, strict=True))
        fills = runs[0]["fills"]
        filling = f"{fills:8.0f}{fills / base[0]['fills']:7.2f}×" if fills and base[0]["fills"] else f"{'–':>8}{'–':>8}"
        print(
            f"{name:28}{statistics.mean(run['best'] for run in runs):10.4f}{statistics.mean(differences):+12.4f}"
            f"{epoch:7.1f} s{ratio:7.2f}×{filling}{runs[0]['bytes'] / 1e6:7.0f}"
        )
        print(f"{'':28}by seed: {', '.join(f'{difference:+.4f}' for difference in differences)}")


if __name__ == "__main__":
    main()
