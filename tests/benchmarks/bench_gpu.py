"""What a GPU does with a sweep: speed by precision and share, full memory, resuming on the CPU, the final stage.

    python -m tests.benchmarks.bench_gpu DATASET --weights InceptionV3_notop.weights.h5 --out FOLDER
    python -m tests.benchmarks.bench_gpu DATASET --weights FILE --out FOLDER --steps process float32 stock

DATASET is what `python -m trainables prepare` made. Each step runs in a process of its own for at most `--limit`
seconds, with a store of its own; its output goes to FOLDER/STEP.log, its figures to FOLDER/rows.jsonl, with what
nvidia-smi says of the card meanwhile. Of a sweep that was cut at the limit, the figures are those of the trials so far.
`final` needs the sweep of `float32`: in the same call, or in an earlier one with the same --scratch. Without a GPU the
steps run on the CPU, which tries this script.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

import numpy as np

SWEEP = "search/sweeps/rare_families.yaml"
Row = dict[str, Any]


class Bench:
    """The settings of all steps, and a scratch folder."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.dataset, self.weights = str(options.dataset.resolve()), str(options.weights.resolve())
        self.size, self.trials, self.epochs = options.size, options.trials, options.epochs
        self.scratch = scratch

    def sweep(self, name: str, *settings: str) -> list[str]:
        """The command of a sweep of rare_families.yaml with these settings."""
        values = {
            "dataset": self.dataset,
            "store": self.scratch / f"store-{name}",
            "trials": self.trials,
            "trial.weights": self.weights,
            "trial.image_size": self.size,
            "trial.epochs": self.epochs,
        }
        command = [sys.executable, "-m", "search", "run", SWEEP, "--experiment", str(self.scratch / name)]
        for setting in (*(f"{key}={value}" for key, value in values.items()), *settings):
            command += ["--set", setting]
        return command

    def told(self, name: str) -> Row:
        """What the records of a sweep say."""
        from search.records import read_experiment

        trials = read_experiment(str(self.scratch / name)).trials
        epochs = [epoch for trial in trials for epoch in trial.epochs]

        def total(key: str) -> float:
            return round(sum(epoch.get(key) or 0.0 for epoch in epochs), 2)

        seconds = sum(trial.seconds or 0.0 for trial in trials)
        later = [epoch["epoch_seconds"] for epoch in epochs if not epoch.get("store_filled")]
        return {
            "states": [trial.state for trial in trials],
            "stops": [trial.stop and trial.stop.get("reason") for trial in trials if trial.state == "FAIL"],
            "device": sorted({str(trial.device) for trial in trials}),
            "epochs": len(epochs),
            "trial_seconds": round(seconds, 1),
            "trials_per_hour": round(3600 * len(trials) / seconds, 1) if seconds else None,
            "in_steps": round(total("step_seconds") / seconds, 3) if seconds else None,
            "in_epochs": round(total("epoch_seconds") / seconds, 3) if seconds else None,
            "filling": total("store_fill_seconds"),
            "filled_gb": round(total("store_filled_bytes") / 1e9, 2),
            "setup": total("setup_seconds"),
            "epoch_seconds_from_the_store": round(statistics.median(later), 2) if later else None,
            "best": max((trial.value or 0.0 for trial in trials), default=None),
        }


def process(bench: Bench) -> Row:
    """One process: photos per second by precision, what precisions and the CPU differ by, repeatability, latency."""
    import tensorflow as tf

    from trainables.config import TrialConfig
    from trainables.data.dataset import open_dataset
    from trainables.device import device_name, prepare_tensorflow
    from trainables.network.cut import POOLED
    from trainables.training.speed import SpeedTest
    from trainables.training.worker import Worker

    threads = os.cpu_count() or 1
    prepare_tensorflow(threads)
    worker = Worker(open_dataset(Path(bench.dataset)), bench.scratch / "store-process", None, threads)
    fixed = {"image_size": bench.size, "weights": bench.weights, "epochs": 2, "unfrozen_layers": 62}
    row: Row = {"device": device_name()}
    say(row)
    for precision in ("float32", "bfloat16", "float16"):
        started = time.monotonic()
        config = TrialConfig.model_validate({**fixed, "precision": precision})
        speed = SpeedTest(config, [0, 31, 62], worker.classes, threads).measure()
        row[f"photos_per_second {precision}"] = {
            "frozen part": round(speed.prefix),
            **{cut: [round(tail.train), round(tail.evaluate)] for cut, tail in speed.tails.items()},
            "seconds to measure": round(time.monotonic() - started, 1),
        }
        say(row)

    photos = worker.photos("validation", bench.size)
    rows = np.arange(64)

    def pooled(precision: str) -> Any:
        from trainables.activations.features import Prefix

        config = TrialConfig.model_validate({**fixed, "precision": precision})
        return Prefix(worker.base(config), "file", config).compute(photos, 0, len(rows), None, [POOLED], {})[POOLED]

    tf.config.experimental.enable_tensor_float_32_execution(False)
    exact = pooled("float32")
    tf.config.experimental.enable_tensor_float_32_execution(True)
    with tf.device("/CPU:0"):
        on_cpu = pooled("float32")
    for name, value in {
        "TF32": pooled("float32"),
        "bfloat16": pooled("bfloat16"),
        "float16": pooled("float16"),
        "the CPU": on_cpu,
    }.items():
        row[f"difference of {name}"] = float(f"{np.linalg.norm(value - exact) / np.linalg.norm(exact):.3g}")
    say(row)
    row["latency_ms"] = round(worker.cost("latency_ms", TrialConfig.model_validate(fixed)), 2)

    def trained() -> tuple[dict[str, Any], float]:
        run = worker.start(TrialConfig.model_validate(fixed))
        run.run_epoch()
        started = time.monotonic()
        run.run_epoch()
        return run.tail.weights(), time.monotonic() - started

    def repeated(words: str) -> None:
        (first, _), (second, seconds) = trained(), trained()
        apart = max(float(np.abs(first[name] - second[name]).max()) for name in first)
        row[words] = {"largest difference of a weight": apart, "epoch_seconds": round(seconds, 2)}
        say(row)

    repeated("the same trial twice")
    tf.keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    repeated("the same trial twice, deterministic operations")
    return row


def run_sweep(bench: Bench, name: str, *settings: str) -> Row:
    subprocess.run(bench.sweep(name, *settings), check=False)
    return bench.told(name)


def stock(bench: Bench) -> Row:
    """The stock Ray Tune peer of sweep_peers.py: two trials."""
    folder = bench.scratch / "stock"
    folder.mkdir()
    job = {
        "peer": "ray",
        "seed": 0,
        "trials": 2,
        "folder": str(folder),
        "dataset": bench.dataset,
        "weights": bench.weights,
        "settings": [],
        "size": bench.size,
        "epochs": bench.epochs,
    }
    command = [sys.executable, "-m", "tests.benchmarks.bench_sweep", ".", "--weights", bench.weights]
    subprocess.run([*command, "--run", json.dumps(job)], check=False)
    found = json.loads((folder / "found.json").read_text())
    return {"curves": found["curves"], "seconds after its first trial began": round(time.time() - found["began"], 1)}


def memory(bench: Bench) -> Row:
    """Four trials on one GPU, all layers training on 128 photos at once, of which the card holds two or three."""
    settings = ("trials=4", "trial.epochs=2", "trial.batch_size=128", "space.unfrozen_layers=[311]")
    return run_sweep(bench, "memory", *settings, "resources.gpus_per_trial=0.25", "early_stopping.kind=none")


def resume(bench: Bench) -> Row:
    """A sweep of one trial, killed after its second epoch and gone on with where no GPU is seen; at 139 px."""
    settings = ("trials=1", "trial.epochs=5", "trial.image_size=139", "checkpoint_every=1")
    driver = subprocess.Popen(bench.sweep("resume", *settings, "space.unfrozen_layers=[31]"))
    log = bench.scratch / "resume" / "trials" / "0000" / "epochs.jsonl"
    while driver.poll() is None and (not log.is_file() or len(log.read_text().splitlines()) < 2):
        time.sleep(0.05)
    driver.kill()  # Its trials' processes end with it.
    driver.wait()
    before = len(log.read_text().splitlines())
    command = [sys.executable, "-m", "search", "resume", str(bench.scratch / "resume")]
    done = subprocess.run(command, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, check=False)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    scores = [[line["epoch"], line["device"], round(line["val_macro_f1"], 4)] for line in lines]
    return {"status": done.returncode, "epochs before": before, "epochs": scores, **bench.told("resume")}


def final(bench: Bench) -> Row:
    """The final stage of the first sweep's best, and `predict` on the validation photos."""
    from trainables.data.dataset import open_dataset
    from trainables.data.shards import read_split

    photos = bench.scratch / "photos"
    photos.mkdir()
    for number, photo in enumerate(read_split(open_dataset(Path(bench.dataset)), "validation")):
        (photos / f"{number:04d}.jpg").write_bytes(photo.image)
    best = bench.scratch / "float32" / "best.json"
    row: Row = {}
    for name, command in {
        "retrain": ["retrain", str(best)],
        "predict": ["predict", str(best.parent / "final"), str(photos), "--csv", str(bench.scratch / "answers.csv")],
    }.items():
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "trainables", *command], check=False)
        row[name] = {"status": done.returncode, "seconds": round(time.monotonic() - started, 1)}
        say(row)
    return row


STEPS: dict[str, Callable[[Bench], Row]] = {
    "process": process,
    "float32": lambda bench: run_sweep(bench, "float32"),
    "quarter": lambda bench: run_sweep(bench, "quarter", "resources.gpus_per_trial=0.25"),
    "bfloat16": lambda bench: run_sweep(bench, "bfloat16", "trial.precision=bfloat16"),
    "float16": lambda bench: run_sweep(bench, "float16", "trial.precision=float16"),
    "stock": stock,
    "memory": memory,
    "resume": resume,
    "final": final,
}


def say(row: Row) -> None:
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="InceptionV3's .weights.h5 without top")
    parser.add_argument("--out", type=Path, required=True, help="folder of the logs and figures")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--limit", type=float, default=150, help="seconds of a step [150]")
    parser.add_argument("--scratch", type=Path, help="keep the experiments here, for further steps")
    parser.add_argument("--size", type=int, default=299, help="of the pictures, in pixels [299]")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--here", choices=list(STEPS), help=argparse.SUPPRESS)  # One step, in this process.
    options = parser.parse_args()
    scratch = options.scratch or Path(tempfile.mkdtemp(prefix="bench-gpu-"))
    scratch.mkdir(parents=True, exist_ok=True)
    if options.here:
        say({"done": STEPS[options.here](Bench(options, scratch))})
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for step in options.steps:
        row = {"step": step, **timed(step, options, scratch)}
        with (options.out / "rows.jsonl").open("a") as file:
            print(json.dumps(row), file=file)
        say(row)
    if options.scratch is None:
        shutil.rmtree(scratch)


def timed(step: str, options: argparse.Namespace, scratch: Path) -> Row:
    """Run one step in a process of its own, and watch the card."""
    log = options.out / f"{step}.log"
    command = [sys.executable, "-m", "tests.benchmarks.bench_gpu", str(options.dataset), "--here", step]
    for name in ("weights", "out", "size", "trials", "epochs"):
        command += [f"--{name}", str(getattr(options, name))]
    started, card = time.monotonic(), []
    with log.open("w") as stream:
        running = subprocess.Popen(
            [*command, "--scratch", str(scratch)], stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        while running.poll() is None and time.monotonic() - started < options.limit:
            card += watch()
            time.sleep(0.5)
        cut = running.poll() is None
        if cut:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    shutil.rmtree(scratch / f"store-{step}", ignore_errors=True)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("{")]
    row: Row = {"seconds": round(time.monotonic() - started, 1), "cut": cut, "status": running.returncode}
    if card:
        use, used = zip(*card, strict=True)
        row |= {"gpu_percent": round(statistics.mean(use), 1), "gpu_percent_most": max(use), "gpu_mb_most": max(used)}
    if cut and (scratch / step / "study.db").is_file():
        row["so far"] = Bench(options, scratch).told(step)
    return {**row, **(json.loads(lines[-1]) if lines else {})}


def watch() -> list[tuple[float, float]]:
    """Utilisation in per cent and used MB of the first card; nothing where there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip().splitlines()
    return [tuple(float(value) for value in line.split(","))[:2] for line in answer[:1]]  # type: ignore[misc]


if __name__ == "__main__":
    main()
