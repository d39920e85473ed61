"""What low precision gains in time and disk, and what it costs in macro F1.

    python -m tests.benchmarks.bench_precision ../shared/data/rare_families --weights InceptionV3_notop.weights.h5
    python -m tests.benchmarks.bench_precision PHOTOS --weights FILE --share 0.25 --epochs 4 --seeds 0 1 2

Every way trains the same configuration (31 unfrozen layers, 139 px) from the same seeds on the same split, judged
on the same validation photos. Ways take turns in one process, so that a busy machine slows all of them; the first seed
of a way fills its store. "fills" are pictures through the frozen part per second, augmentation included, "steps" photos
per second inside training steps, and the ratios are against float32.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.benchmarks.bench_sweep import chosen_dataset
from trainables.config import TrialConfig
from trainables.worker import Worker

WAYS = {
    "float32": {},
    "stored as float16": {"store_dtype": "float16"},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, stored as float16": {"precision": "bfloat16", "store_dtype": "float16"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of class folders")
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top, imagenet, or random")
    parser.add_argument("--share", type=float, default=1.0, help="of the families")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--unfrozen", type=int, default=31)
    arguments = parser.parse_args()
    from trainables.device import prepare_tensorflow

    prepare_tensorflow(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as scratch:
        dataset = chosen_dataset(arguments.photos, Path(scratch), arguments.share)
        worker = Worker(dataset, Path(scratch, "store"), None, len(os.sched_getaffinity(0)))
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
        for seed in arguments.seeds:
            for name, knobs in WAYS.items():
                rows[name].append(train(worker, config(arguments, seed, knobs)))
                print(f"seed {seed}, {name}: best macro F1 {rows[name][-1]['best']:.4f}", flush=True)
    print_table(rows)


def config(arguments: argparse.Namespace, seed: int, knobs: dict[str, str]) -> TrialConfig:
    fixed = {
        "image_size": 139,
        "unfrozen_layers": arguments.unfrozen,
        "learning_rate": 1e-3,
        "weights": arguments.weights,
    }
    views = min(3, arguments.epochs)
    values = {**fixed, **knobs, "epochs": arguments.epochs, "seed": seed, "augment_views": views, "patience": 100}
    return TrialConfig.model_validate(values)


def train(worker: Worker, config: TrialConfig) -> dict[str, Any]:
    """One run; `steps` and `fills` are rates as the table says, `fills` None where all was stored."""
    run = worker.start(config)
    results = [run.run_epoch() for _ in range(config.epochs)]
    use = worker.take_store_use()
    seen = config.epochs * len(worker.photos("train", config.image_size))
    return {
        "best": max(result["val_macro_f1"] for result in results),
        "steps": seen / sum(result["step_seconds"] for result in results),
        "fills": use.filled / use.fill_seconds if use.filled else None,
        "bytes": use.filled_bytes,
    }


def print_table(rows: dict[str, list[dict[str, Any]]]) -> None:
    print(f"\n{'way':30}{'macro F1':>10}{'difference':>12}{'steps':>8}{'ratio':>7}{'fills':>8}{'ratio':>7}{'MB':>8}")
    base = rows["float32"]
    for name, runs in rows.items():
        differences = [run["best"] - other["best"] for run, other in zip(runs, base, strict=True)]
        steps = statistics.median(run["steps"] for run in runs)
        ratio = statistics.median(run["steps"] / other["steps"] for run, other in zip(runs, base, strict=True))
        fills = runs[0]["fills"]
        print(
            f"{name:30}{statistics.mean(run['best'] for run in runs):10.4f}{statistics.mean(differences):+12.4f}"
            f"{steps:8.0f}{ratio:6.2f}×{fills:8.0f}{fills / base[0]['fills']:6.2f}×{runs[0]['bytes'] / 1e6:8.0f}"
        )
        print(f"{'':30}by seed: {', '.join(f'{difference:+.4f}' for difference in differences)}")


if __name__ == "__main__":
    main()
