"""Seconds until a model is at hand that is as good as the best of stock Ray Tune's whole sweep: the probe against it.

    python -m tests.benchmarks.bench_time_to_quality DATASET --weights InceptionV3_notop.weights.h5
    python -m tests.benchmarks.bench_time_to_quality DATASET --weights FILE --size 299 --target 0.85 --rounds 1

DATASET is what `python -m trainables prepare` made. Ours is all of `python -m trainables probe`, with an empty store,
from the shell to the model on the disk, test figures included. Stock's sweep takes hours, so its time is that of one
epoch (the second of two, 31 unfrozen layers, with its evaluation) times `--epochs`, the 76 that its 20 trials ran in
the reference sweep (bench_sweep, seed 0, best validation macro F1 0.711: `--target`). Stock runs in both shapes, one
trial on all cores and one on each core at once, and the faster counts. Rounds are ours, stock, ours.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.benchmarks import sweep_peers
from tests.benchmarks.bench_sweep import Job, task_of

UNFROZEN = 31


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="InceptionV3's .weights.h5 without top")
    parser.add_argument("--size", type=int, default=139, help="of the pictures, in pixels [139]")
    parser.add_argument("--epochs", type=int, default=76, help="of stock's whole sweep [76]")
    parser.add_argument("--target", type=float, default=0.711, help="best validation macro F1 of stock's sweep [0.711]")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--precision", default="float32", help="of the probe [float32]")
    parser.add_argument("--stock", action="store_true", help=argparse.SUPPRESS)  # One stock trial, in this process.
    options = parser.parse_args()
    options.dataset, options.weights = options.dataset.resolve(), options.weights.resolve()
    if options.stock:
        print(json.dumps(stock_epochs(options)))
        return
    cores = sorted(os.sched_getaffinity(0))
    print(f"{len(cores)} cores, load {os.getloadavg()[0]:.1f} before, {options.size} px")
    ratios = []
    for _ in range(options.rounds):
        first = ours(options)
        together, apart = stock(options, [cores]), stock(options, [[core] for core in cores])
        second = ours(options)
        print(f"stock        {together:.0f} s an epoch on all cores, {apart:.0f} s with a trial on each core")
        whole, own = options.epochs * min(together, apart), statistics.mean([first, second])
        print(f"whole sweep  {whole:.0f} s = {options.epochs} epochs; ours {own:.0f} s: 1/{whole / own:.0f}")
        ratios.append(whole / own)
    print(f"median       1/{statistics.median(ratios):.0f}")


def ours(options: argparse.Namespace) -> float:
    """Seconds of the whole command, if its model reaches the target."""
    with tempfile.TemporaryDirectory(prefix="bench-probe-") as scratch:
        out = Path(scratch, "probe")
        command = [sys.executable, "-m", "trainables", "probe", options.dataset, "--out", out]
        command += ["--weights", options.weights, "--image-size", options.size, "--precision", options.precision]
        started = time.monotonic()
        subprocess.run([*map(str, command), "--store", str(Path(scratch, "store"))], check=True, capture_output=True)
        seconds = time.monotonic() - started
        metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    score = metrics["stages"]["probe"]["validation"]["macro_f1"]
    print(f"ours         {seconds:.0f} s, validation macro F1 {score:.4f}, target {options.target}", flush=True)
    if score < options.target:
        raise SystemExit("the probe does not reach the target")
    return seconds


def stock(options: argparse.Namespace, shares: list[list[int]]) -> float:
    """Seconds an epoch of one stock trial takes, as many at once as there are shares of the cores."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_time_to_quality", str(options.dataset), "--stock"]
    command += ["--weights", str(options.weights), "--size", str(options.size)]
    running = [
        subprocess.Popen(["taskset", "-c", ",".join(map(str, share)), *command], stdout=subprocess.PIPE, text=True)
        for share in shares
    ]
    seconds = [json.loads(each.communicate()[0].splitlines()[-1]) for each in running]
    return statistics.mean(seconds) / len(shares)


def stock_epochs(options: argparse.Namespace) -> float:
    """Seconds of the second of two epochs of the stock trial."""
    with tempfile.TemporaryDirectory() as scratch:
        job = Job("ray", 0, 1, scratch, str(options.dataset), str(options.weights), (), options.size, 2)
        ends: list[float] = []
        params = {"learning_rate": 1e-3, "dropout": 0.3, "dense_units": 256, "unfrozen_layers": UNFROZEN}
        sweep_peers.fit(task_of(job), params, lambda epoch, score: ends.append(time.monotonic()))
    return ends[1] - ends[0]


if __name__ == "__main__":
    main()
