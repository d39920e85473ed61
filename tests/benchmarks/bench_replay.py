"""Whether another search's scores come from its training or from what it tried: its configurations, trained our way.

    python -m tests.benchmarks.bench_sweep PHOTOS --weights FILE --quick --peers ray --keep rows.jsonl
    python -m tests.benchmarks.bench_replay PHOTOS rows.jsonl --weights FILE --share 0.125

Every trial that bench_sweep kept is trained by ours again: the same configuration, split, seed and number of epochs
(the schedule's end is the sweep's). Pictures of the augmentation, first weights and the order of batches differ, so
single trials differ by chance; their mean difference tells. "best" is the highest macro F1 of a trial's epochs, and
below the table of a search's.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.benchmarks.bench_quality import WAYS
from tests.benchmarks.bench_sweep import QUICK_SHARE, chosen_dataset
from tests.benchmarks.sweep_peers import KNOBS
from trainables.config import TrialConfig
from trainables.training.worker import Worker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of class folders")
    parser.add_argument("rows", type=Path, help="what bench_sweep --keep wrote")
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top, imagenet, or random")
    parser.add_argument("--share", type=float, default=QUICK_SHARE, help="of the families, as it was [that of --quick]")
    parser.add_argument("--peers", nargs="+", default=["ray"], help="whose trials [ray]")
    parser.add_argument("--ways", nargs="+", default=["stored float32"], choices=list(WAYS), help="[stored float32]")
    arguments = parser.parse_args()
    from trainables.device import prepare_tensorflow

    cores = len(os.sched_getaffinity(0))
    prepare_tensorflow(cores)
    with tempfile.TemporaryDirectory() as scratch:
        dataset = chosen_dataset(arguments.photos, Path(scratch), arguments.share)
        kept = [json.loads(line) for line in arguments.rows.read_text().splitlines()]
        searches = [line for line in kept if line["key"][0] == dataset.fingerprint]
        searches = [line for line in searches if line["row"]["peer"] in arguments.peers and "curves" in line["row"]]
        if not searches:
            parser.error(f"{arguments.rows} holds no trial of {', '.join(arguments.peers)} on these photos")
        worker = Worker(dataset, Path(scratch, "store"), None, cores)
        for line in searches:
            size, epochs = line["key"][4:6]
            replay(worker, line["row"], {"weights": arguments.weights, "image_size": size, "epochs": epochs}, arguments)


def replay(worker: Worker, row: dict[str, Any], fixed: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Train a search's trials every way, and print how they differ."""
    print(f"\n{row['peer']}, seed {row['seed']}: {'its best':>60}{''.join(f'{way:>28}' for way in arguments.ways)}")
    theirs: list[float] = []
    ours: dict[str, list[float]] = {way: [] for way in arguments.ways}
    for params, scores in row["curves"]:
        knobs = {name: params[name] for name in KNOBS}
        theirs.append(max(scores))
        for way, best in ours.items():
            config = TrialConfig.model_validate({**fixed, **knobs, **WAYS[way], "patience": 1000, "seed": row["seed"]})
            run = worker.start(config)
            best.append(max(run.run_epoch()["val_macro_f1"] for _ in scores))
        words = f"{len(scores)} epochs, lr {knobs['learning_rate']:.1e}, dropout {knobs['dropout']:.2f}, "
        words += f"{knobs['dense_units']} units, {knobs['unfrozen_layers']} layers"
        print(f"{words:70}{theirs[-1]:.4f}{''.join(f'{best[-1]:28.4f}' for best in ours.values())}", flush=True)
    print(f"{'best of all':70}{max(theirs):.4f}{''.join(f'{max(best):28.4f}' for best in ours.values())}")
    to_the_end = [len(scores) == fixed["epochs"] for _, scores in row["curves"]]
    for way, best in ours.items():
        differences = [our - their for our, their in zip(best, theirs, strict=True)]
        print(f"{way} minus {row['peer']}: {_mean_of(differences)}; ", end="")
        print(f"where none was stopped: {_mean_of(list(itertools.compress(differences, to_the_end)))}")


def _mean_of(differences: Sequence[float]) -> str:
    if len(differences) < 2:
        return "too few"
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return f"{statistics.mean(differences):+.4f} of {len(differences)} trials, standard error {error:.4f}"


if __name__ == "__main__":
    main()
