"""What the probe takes and gives: seconds by part, peak memory, macro F1; each size in a process of its own.

    python -m tests.benchmarks.bench_probe DATASET --weights InceptionV3_notop.weights.h5 --sizes 139 299
    python -m tests.benchmarks.bench_probe DATASET --weights FILE --sizes 139 --precision bfloat16

DATASET is what `python -m trainables prepare` made. The store is new for each size. "proof" is that the splits are
disjoint, "pass" the forward pass of train and validation, "test" that of the test photos.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PARTS = ("import", "proof", "decode", "pass", "choice", "refit", "test")
Row = dict[str, Any]


def measure(options: argparse.Namespace, size: int) -> Row:
    """The parts of the command one after the other, in this process."""
    began = time.monotonic()
    row: Row = {}

    def done(part: str) -> None:
        row[part] = time.monotonic() - began - sum(row.values())
        so_far = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{size} px: {part} {row[part]:.1f} s, at most {so_far:.1f} GB", file=sys.stderr, flush=True)

    from trainables.device import prepare_tensorflow, usable_cores

    prepare_tensorflow(options.threads)
    from trainables.config import TrialConfig
    from trainables.data.dataset import open_dataset
    from trainables.data.leaks import prove_disjoint
    from trainables.network.cut import block_ends
    from trainables.probe.choice import judge
    from trainables.probe.probe import find_probe, refit
    from trainables.training.worker import Worker

    dataset = open_dataset(options.dataset)
    with tempfile.TemporaryDirectory(prefix="bench-probe-") as store:
        worker = Worker(dataset, Path(store), None, options.threads or usable_cores())
        config = TrialConfig(weights=options.weights, image_size=size, precision=options.precision)
        done("import")
        assert prove_disjoint(dataset).passed
        done("proof")
        for split in ("train", "validation", "test"):
            worker.photos(split, size)
        done("decode")
        depths = block_ends(worker.base(config))
        for split in ("train", "validation"):
            worker.pooled(split, config, depths)
        done("pass")
        probe = find_probe(worker, config, lambda line: print(f"  {line}", file=sys.stderr, flush=True))
        done("choice")
        solution = refit(worker, config, probe)
        done("refit")
        exact = config.model_copy(update={"precision": "float32"})
        test = judge(worker.photos("test", size).labels, solution.logits(worker.pooled("test", exact, solution.depths)))
        done("test")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    chosen = f"{solution.depths[0]} to {solution.depths[-1]}, C {probe.strength:.3g}"
    scores = (probe.validation.macro_f1, test.macro_f1)
    return {**row, "memory": memory, "chosen": chosen, "validation": scores[0], "test macro F1": scores[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top")
    parser.add_argument("--sizes", type=int, nargs="+", default=[139, 299], help="of the photos, in pixels [139 299]")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, help="CPU threads [all cores]")
    parser.add_argument("--here", type=int, help=argparse.SUPPRESS)  # One size, in this process.
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options, options.here)))
        return
    print(f"| pixels | {' | '.join(PARTS)} | all, s | memory, GB | chosen | validation, test macro F1 |")
    print(f"|{'---|' * (len(PARTS) + 5)}")
    for size in options.sizes:
        command = [sys.executable, "-m", "tests.benchmarks.bench_probe", *sys.argv[1:], "--here", str(size)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        row = json.loads(output.splitlines()[-1])
        seconds = [row[part] for part in PARTS]
        parts = " | ".join(f"{part:.0f}" for part in seconds)
        scores = f"{row['validation']:.3f}, {row['test macro F1']:.3f}"
        print(
            f"| {size} | {parts} | {sum(seconds):.0f} | {row['memory']:.1f} | {row['chosen']} | {scores} |", flush=True
        )


if __name__ == "__main__":
    main()
