"""What `confirm` hands over against the best single trial, on test, in real sweeps.

    python -m tests.benchmarks.bench_confirm search/sweeps/digits_demo.yaml demo/dataset --seeds 0 1 2 --yes
    python -m tests.benchmarks.bench_confirm search/sweeps/rare_families.yaml DATASET --weights FILE --size 139

Each seed is a sweep with `confirm: {trials: 3, seeds: 2}`. Where it chooses another trial than the best one, the final
stage runs for both, and a row gives their test macro F1. Test decides nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import optuna

CONFIRM = "confirm={trials: 3, seeds: 2}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", help="InceptionV3's .weights.h5 without top [as the sweep says]")
    parser.add_argument("--size", type=int, help="of the photos, in pixels [as the sweep says]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `search run`")
    parser.add_argument("--yes", action="store_true", help="go on with random weights")
    options = parser.parse_args()
    changes = [f"dataset={options.dataset.resolve()}", CONFIRM, *options.set]
    changes += [f"trial.weights={options.weights}"] if options.weights else []
    changes += [f"trial.image_size={options.size}"] if options.size else []
    print("seed  first  own value  further mean  chosen  own value  further mean   test: first  chosen  probe")
    with tempfile.TemporaryDirectory(prefix="bench-confirm-") as scratch:
        rows = [row(options, [*changes, f"store={scratch}/store"], seed, Path(scratch)) for seed in options.seeds]
    gains = [chosen - first for first, chosen in rows]
    print(f"test macro F1 of the chosen one against the first: {', '.join(f'{100 * gain:+.1f}' for gain in gains)}")


def row(options: argparse.Namespace, changes: list[str], seed: int, scratch: Path) -> tuple[float, float]:
    """Run a sweep and the final stages, and print what came of them; the test macro F1 of the first and the chosen."""
    experiment = scratch / f"seed_{seed}"
    sets = [word for change in [*changes, f"seed={seed}"] for word in ("--set", change)]
    yes = ["--yes"] if options.yes else []
    run("search", "run", options.sweep, "--experiment", experiment, *sets, *yes)
    best = json.loads((experiment / "best.json").read_text())
    rows = {each["trial"]: each for each in best["confirmation"]["rows"]}
    first, chosen = best["confirmation"]["rows"][0]["trial"], best["confirmation"]["chosen"]
    tested = {chosen: final(experiment, best, "chosen", scratch)}
    if first not in tested:
        study = optuna.load_study(study_name=None, storage=f"sqlite:///{experiment / 'study.db'}")
        trial = study.trials[first]
        single = best | {"trial": first, "score": trial.value, "config": trial.user_attrs["config"]}
        single |= {"epoch": trial.user_attrs["best_epoch"], "confirmation": None}
        tested[first] = final(experiment, single, "first", scratch)
    told = [f"{seed:4}"]
    for trial in (first, chosen):
        mean = sum(rows[trial]["values"]) / len(rows[trial]["values"])
        told.append(f"{trial:6}  {rows[trial]['first']:9.4f}  {mean:12.4f}")
    (one, probe), (other, _) = tested[first], tested[chosen]
    print("  ".join(told), f"  {one:11.4f}  {other:6.4f}  {probe:5.4f}", flush=True)
    return one, other


def final(experiment: Path, handoff: dict[str, Any], name: str, scratch: Path) -> tuple[float, float]:
    """The test macro F1 of a configuration after the final stage, and that of the probe."""
    file = experiment / f"{name}.json"
    file.write_text(json.dumps(handoff))
    out = experiment / f"final_{name}"
    run("trainables", "retrain", file, "--hand-over", "trial", "--out", out, "--store", scratch / "store")
    metrics = json.loads((out / "metrics.json").read_text())
    stages, kept = metrics["stages"], metrics["chosen"]
    return stages[kept]["test"]["macro_f1"], stages["probe"]["test"]["macro_f1"]


def run(package: str, *words: object) -> None:
    """Run a command, whose output is shown where it fails."""
    done = subprocess.run([sys.executable, "-m", package, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{package} {' '.join(map(str, words))}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    main()
