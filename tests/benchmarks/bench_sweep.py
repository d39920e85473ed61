"""A whole sweep against the same search written with stock libraries: time, epochs, score, memory and disk, in one run.

    python -m tests.benchmarks.bench_sweep ../shared/data/rare_families --weights InceptionV3_notop.weights.h5
    python -m tests.benchmarks.bench_sweep PHOTOS --weights FILE --quick --peers ours ray
    python -m tests.benchmarks.bench_sweep PHOTOS --weights FILE --peers ours --trials 20 60 120
    python -m tests.benchmarks.bench_sweep PHOTOS --weights FILE --peers ours --sweep search/sweeps/rare_families.yaml

The reference sweep: families with at least 20 photos at 139 px, 70/15/15, batches of 32, at most 9 epochs, ASHA (grace
1, reduction 3), learning rate 1e-5 to 1e-2, dropout 0 to 0.6, dense units 128/256/512, unfrozen layers 0/31/62. It
takes hours on two cores; `--quick` takes an eighth of the families, and all else the same. What a search does before
its first trial does not shrink with the photos, so compare the quick form by "of ours, trials", which leaves it out.
`--sweep` takes our search from a sweep file instead, with its picture size and epochs.
`--keep rows.jsonl` keeps each row that is done and takes it from there the next time: hours may be spent in pieces. It
holds every trial's scores too, for bench_replay.

Every search runs in a process of its own, from nothing: no activation is stored and no package loaded before. Peak
memory is the sum over its processes, shared pages counted once (PSS), seen every two seconds. "in steps" is the share
of the wall-clock, of as many trials as run at once, inside training steps of a tail; "own cost" what a warm trial takes
besides its epochs. Our time before the first trial ("start") includes measuring how many trials run at once. Below the
table stands what the wall-clock of our sweeps went to, per trial that runs at once.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import psutil

from tests.benchmarks import sweep_peers
from trainables.data.dataset import Dataset, open_dataset
from trainables.data.images import decode_resized
from trainables.data.prepare import PrepareOptions, prepare
from trainables.data.shards import read_split

QUICK_SHARE, TRIALS = 0.125, 20
OURS = "ours"


@dataclass(frozen=True)
class Job:
    """One search: by whom, from which seed, how many trials, on what, and where it may write."""

    peer: str
    seed: int
    trials: int
    folder: str
    dataset: str
    weights: str
    settings: Sequence[str]
    size: int
    epochs: int
    sweep: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of class folders")
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top, imagenet, or random")
    parser.add_argument("--peers", nargs="+", default=[OURS, *sweep_peers.PEERS], choices=[OURS, *sweep_peers.PEERS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--trials", nargs="+", type=int, default=[TRIALS], help="several: a sweep for each number [20]")
    parser.add_argument("--quick", action="store_true", help="an eighth of the families")
    parser.add_argument("--share", type=float, help="of the families")
    parser.add_argument("--keep", type=Path, metavar="ROWS", help="take rows from this file, and add new ones to it")
    parser.add_argument("--size", type=int, default=139, help="of the pictures, in pixels [139]")
    parser.add_argument("--epochs", type=int, default=9, help="the most of a trial [9]")
    parser.add_argument("--sweep", default="", metavar="FILE", help="our search, instead of the reference sweep")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys of our sweep, to compare ways")
    parser.add_argument("--run", metavar="JSON", help=argparse.SUPPRESS)  # One search, in this process.
    arguments = parser.parse_args()
    if arguments.run:
        run_here(Job(**json.loads(arguments.run)))
        return
    with tempfile.TemporaryDirectory(prefix="bench-sweep-") as scratch:
        share = arguments.share or (QUICK_SHARE if arguments.quick else 1.0)
        dataset = chosen_dataset(arguments.photos, Path(scratch), share)
        photos = {split: len(dataset.photos(split)) for split in ("train", "validation")}
        families = len(dataset.class_names)
        size = f"as {arguments.sweep} has them" if arguments.sweep else f"at {arguments.size} px"
        print(f"{photos['train']} + {photos['validation']} photos of {families} families, {size}")
        print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[1]:.1f} before")
        # Workers have another current folder.
        weights = str(Path(arguments.weights).absolute()) if Path(arguments.weights).is_file() else arguments.weights
        common = {"dataset": str(dataset.folder), "weights": weights, "settings": arguments.set}
        common |= {"size": arguments.size, "epochs": arguments.epochs, "sweep": arguments.sweep}
        rows = [
            kept(Job(peer, seed, count, folder=str(Path(scratch, f"{peer}-{seed}-{count}")), **common), arguments.keep)
            for count in arguments.trials
            for seed in arguments.seeds
            for peer in arguments.peers
        ]
    print_table(rows)


def kept(job: Job, file: Path | None) -> dict[str, Any]:
    """The row of a search that was run before with the same photos and settings, or else run it."""
    photos = open_dataset(Path(job.dataset)).fingerprint
    own = [*job.settings, *filter(None, [job.sweep])] if job.peer == OURS else []
    key = [photos, job.peer, job.seed, job.trials, job.size, job.epochs, *own]
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file and file.is_file() else []
    row: dict[str, Any] | None = next((line["row"] for line in lines if line["key"] == key), None)
    if row is None:
        row = run(job)
        if file is not None:
            with file.open("a") as out:
                print(json.dumps({"key": key, "when": time.strftime("%F %T"), "row": row}), file=out)
    return row


def run(job: Job) -> dict[str, Any]:
    """Run one search in a process of its own and measure it from outside."""
    folder = Path(job.folder)
    folder.mkdir()
    command = [sys.executable, "-m", "tests.benchmarks.bench_sweep", ".", "--weights", job.weights]
    command += ["--run", json.dumps(asdict(job))]
    load, started, peak = os.getloadavg()[0], time.time(), 0
    process = subprocess.Popen(command, stdout=(folder / "out.txt").open("w"), stderr=(folder / "err.txt").open("w"))
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        time.sleep(2)
    seconds = time.time() - started
    if process.returncode:
        raise SystemExit(f"{job.peer} failed:\n{(folder / 'err.txt').read_text()[-2000:]}")
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    shutil.rmtree(folder / "store", ignore_errors=True)
    found = json.loads((folder / "found.json").read_text())
    found["start"] = found.pop("began") - started
    scores = [curve for _, curve in found["curves"]]
    row = {
        "peer": job.peer,
        "seed": job.seed,
        "asked": job.trials,
        "seconds": seconds,
        "peak": peak,
        "disk": disk,
        "load": load,
        "trials": len(scores),
        "epochs": sum(map(len, scores)),
        "best": max(score for curve in scores for score in curve),
        **found,
    }
    print(json.dumps({key: value for key, value in row.items() if key != "curves"}), flush=True)
    return row


def run_here(job: Job) -> None:
    """Run one search and write what it found to found.json."""
    found = _ours(job) if job.peer == OURS else asdict(sweep_peers.PEERS[job.peer](task_of(job)))
    Path(job.folder, "found.json").write_text(json.dumps(found))


def chosen_dataset(photos: Path, scratch: Path, share: float) -> Dataset:
    """Prepare a share of the families, 70/15/15, those with at least 20 photos."""
    families = sorted(folder for folder in photos.iterdir() if folder.is_dir())
    chosen = scratch / "photos"
    chosen.mkdir()
    for family in families[:: round(1 / share)]:
        (chosen / family.name).symlink_to(family.resolve())
    prepare(chosen, scratch / "dataset", PrepareOptions(min_photos=20, group=("none",)))
    return open_dataset(scratch / "dataset")


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    print(
        f"\n{'search':12}{'seed':>5}{'trials':>7}{'epochs':>7}{'seconds':>9}{'start':>7}{'of ours':>9}{'…, trials':>10}"
        f"{'trials/h':>9}{'best F1':>9}{'peak GB':>9}{'disk GB':>9}{'in steps':>9}{'own cost':>9}{'load':>6}"
    )
    ours = {(row["seed"], row["asked"]): row for row in rows if row["peer"] == OURS}
    for row in rows:
        our = ours.get((row["seed"], row["asked"]), {"seconds": np.nan, "start": 0.0})
        times = row["seconds"] / our["seconds"]
        of_trials = (row["seconds"] - row["start"]) / (our["seconds"] - our["start"])
        steps = f"{row['in_steps'] / row['seconds']:.0%}" if "in_steps" in row else "–"
        own = f"{row['own_cost']:.2f} s" if row.get("own_cost") is not None else "–"
        print(
            f"{row['peer']:12}{row['seed']:5}{row['trials']:7}{row['epochs']:7}{row['seconds']:9.0f}{row['start']:7.0f}"
            f"{times:8.1f}×{of_trials:9.1f}×{3600 * row['trials'] / row['seconds']:9.0f}{row['best']:9.4f}"
            f"{row['peak'] / 1e9:9.2f}{row['disk'] / 1e9:9.2f}{steps:>9}{own:>9}{row['load']:6.1f}"
        )
    for row in rows:
        if "spent" in row:
            parts = {"before the first trial": row["start"], "steps": row["in_steps"], **row["spent"]}
            parts["slots without a trial"] = row["seconds"] - sum(parts.values())
            words = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in parts.items())
            print(f"{row['trials']} trials of seed {row['seed']}: {words}")


def task_of(job: Job) -> sweep_peers.Task:
    dataset = open_dataset(Path(job.dataset))
    splits = {}
    for split in ("train", "validation"):
        pixels = np.stack([decode_resized(photo.image, job.size) for photo in read_split(dataset, split)])
        splits[split] = pixels, np.array([row.label for row in dataset.photos(split)], np.int64)
    return sweep_peers.Task(
        train=splits["train"],
        validation=splits["validation"],
        classes=len(dataset.class_names),
        weights=job.weights,
        trials=job.trials,
        epochs=job.epochs,
        seed=job.seed,
        folder=Path(job.folder),
    )


def _ours(job: Job) -> dict[str, Any]:
    import yaml

    from search.config.file import read_sweep
    from search.records import read_experiment
    from search.sweep import run_sweep

    values = {
        "dataset": job.dataset,
        "experiment": str(Path(job.folder, "experiment")),
        "store": str(Path(job.folder, "store")),
        "trials": job.trials,
        "seed": job.seed,
        "trial": {
            "image_size": job.size,
            "batch_size": sweep_peers.BATCH,
            "epochs": job.epochs,
            "weights": job.weights,
        },
        "early_stopping": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 3},
    }
    file = Path(job.folder, "sweep.yaml")
    if job.sweep:
        written = yaml.safe_load(Path(job.sweep).read_text())
        own = {name: values[name] for name in ("dataset", "experiment", "store", "trials", "seed")}
        values = {**written, **own, "trial": {**written["trial"], "weights": job.weights}}
    file.write_text(yaml.safe_dump(values))
    run_sweep(read_sweep(file, list(job.settings)))
    experiment = read_experiment(values["experiment"])
    summary = experiment.summary
    assert summary is not None
    return {
        "curves": [(trial.params, _finite_scores(trial)) for trial in experiment.trials],
        "began": datetime.fromisoformat(min(trial.started for trial in experiment.trials if trial.started)).timestamp(),
        "in_steps": summary["step_seconds"] / summary["forecast"]["concurrent"],
        "own_cost": _own_cost(experiment.trials),
        "spent": _spent(experiment.trials, summary["forecast"]["concurrent"]),
    }


def _finite_scores(trial: Any) -> list[float]:
    return [epoch["val_macro_f1"] for epoch in trial.epochs if epoch["val_macro_f1"] is not None]


def _spent(trials: Sequence[Any], concurrent: int) -> dict[str, float]:
    """What the trials' time went to, besides steps: in seconds, over all trials, divided by how many run at once."""

    def total(key: str) -> float:
        return sum(epoch.get(key) or 0.0 for trial in trials for epoch in trial.epochs) / concurrent

    epochs, fill = total("epoch_seconds"), total("store_fill_seconds")
    trial_seconds = sum(trial.seconds or 0.0 for trial in trials) / concurrent
    return {
        "filling the store": fill,
        "evaluating": epochs - total("step_seconds") - fill,
        "between epochs (workers' start, checkpoints, Ray)": trial_seconds - epochs,
    }


def _own_cost(trials: Sequence[Any]) -> float | None:
    """Median seconds of a trial besides its epochs; the first half of the trials, which warm workers up, left out."""
    warm = [trial for trial in trials if trial.seconds is not None and trial.epochs][len(trials) // 2 :]
    costs = [trial.seconds - sum(epoch["epoch_seconds"] for epoch in trial.epochs) for trial in warm]
    return float(np.median(costs)) if costs else None


def _memory(pid: int) -> int:
    """Bytes of a process and all its children, shared pages counted once."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


if __name__ == "__main__":
    main()
