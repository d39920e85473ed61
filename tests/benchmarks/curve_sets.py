"""Sets of learning curves for bench_portfolio: recorded with the product's own sweep, kept as JSON, and read."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.records import read_experiment
from trainables.data.options import PrepareOptions
from trainables.data.prepare import prepare

CURVES = Path(__file__).with_name("curves")
KNOBS = ("learning_rate", "dropout", "dense_units", "unfrozen_layers")
EPOCHS = 5
# What is recorded. Without unfrozen layers the backbone's learning rate makes no difference.
GRID = {
    "learning_rate": [3e-5, 1e-4, 3e-4, 1e-3],
    "dropout": [0.1, 0.45],
    "dense_units": [0, 256],
    "unfrozen_layers": [0, 31, 62],
}
# Again with another seed, to see what runs differ by.
AGAIN = [(1e-4, 0.1, 0, 31), (3e-4, 0.45, 0, 62), (1e-3, 0.1, 0, 31), (1e-4, 0.45, 0, 0), (3e-4, 0.1, 256, 62)]
TRIES = 3
RARE = {"image_size": 139, "augmentation": {"vertical_flip": False}}
DIGITS = {"image_size": 75, "augmentation": {"horizontal_flip": False, "vertical_flip": False, "rotation": 10.0}}
RARE_SETS = ("rare_a", "rare_b", "rare_c", "rare_d")
SETS = (*RARE_SETS, "digits", "digits_imagenet")
# The two families with most photos are left out: they would double the time of the subset that has them.
LEFT_OUT, FEWEST_PHOTOS = 2, 20


@dataclass(frozen=True)
class Curve:
    """A trial that ran to its end: its knobs, the seed of its sweep, and val_macro_f1 of epochs 1, 2, …"""

    knobs: dict[str, Any]
    seed: int
    values: tuple[float, ...]


@dataclass(frozen=True)
class CurveSet:
    """The curves of one set of photos, and its probe's val_macro_f1."""

    name: str
    photos: dict[str, int]
    classes: int
    probe: float
    curves: tuple[Curve, ...]


def read_sets(folder: Path = CURVES) -> list[CurveSet]:
    """Read all sets that were recorded, by name."""
    found = []
    for file in sorted(folder.glob("*.json")):
        kept = json.loads(file.read_text())
        curves = tuple(
            Curve(dict(zip(KNOBS, knobs, strict=True)), seed, tuple(values)) for *knobs, seed, values in kept["curves"]
        )
        found.append(CurveSet(file.stem, kept["photos"], kept["classes"], kept["probe"], curves))
    return found


def record(name: str, photos: Path, weights: str, scratch: Path, precision: str) -> None:
    """Run the sweeps of one set, and write its curves: every configuration once, and a few with another seed."""
    folder = scratch / name
    digits = name.startswith("digits")
    if digits:
        subprocess.run([sys.executable, "-m", "trainables", "demo-photos", str(folder / "photos")], check=True)
    else:
        link_families(photos, folder / "photos", RARE_SETS.index(name))
    # Much is kept for validation: its noise would hide what the configurations differ by.
    fractions = (0.55, 0.40, 0.05)
    manifest = prepare(folder / "photos", folder / "dataset", PrepareOptions(fractions=fractions), say=print)
    fixed = {
        **(DIGITS if digits else RARE),
        "weights": "random" if name == "digits" else weights,
        "epochs": EPOCHS,
        "patience": EPOCHS,
        "precision": precision,
    }
    rows: list[list[Any]] = []
    about: dict[str, Any] = {
        "photos": {split: sum(each.values()) for split, each in manifest.counts.items()},
        "classes": len(manifest.class_names),
    }
    for seed, points in enumerate((recorded(), [dict(zip(KNOBS, point, strict=True)) for point in AGAIN])):
        found = read_experiment(sweep(folder, fixed, seed, points))
        if found.probe:
            about.setdefault("probe", found.probe.val_macro_f1)
        for trial in found.trials:
            values = [round(value, 4) for _, value in sorted(trial.values.items())]
            rows.append([*(trial.params[knob] for knob in KNOBS), seed, values])
        write(CURVES / f"{name}.json", about, rows)


def recorded() -> list[dict[str, Any]]:
    """Return the configurations of the grid that differ; with a dense layer, which does worse, at one dropout only."""
    whole = [dict(zip(KNOBS, point, strict=True)) for point in itertools.product(*GRID.values())]
    return [
        point
        for point in whole
        if (point["unfrozen_layers"] or point["learning_rate"] == GRID["learning_rate"][0])
        and (not point["dense_units"] or point["dropout"] == GRID["dropout"][0])
    ]


def link_families(photos: Path, folder: Path, part: int) -> None:
    """Link to every fourth family by its number of photos, to and fro, so that all parts are as large."""
    sizes = {each: len(list(each.iterdir())) for each in sorted(photos.iterdir()) if each.is_dir()}
    families = sorted((each for each, size in sizes.items() if size >= FEWEST_PHOTOS), key=lambda each: -sizes[each])
    folder.mkdir(parents=True)
    for at, family in enumerate(families[LEFT_OUT:]):
        turn, place = divmod(at, len(RARE_SETS))
        if part == (place if turn % 2 == 0 else len(RARE_SETS) - 1 - place):
            (folder / family.name).symlink_to(family.resolve(), target_is_directory=True)


def sweep(folder: Path, fixed: dict[str, Any], seed: int, points: list[dict[str, Any]]) -> Path:
    """Run rare_families.yaml over these configurations, without early stopping, and return the experiment."""
    settings = {
        "dataset": str(folder / "dataset"),
        "store": str(folder / "store"),
        "space": GRID,
        "sampler": "random",
        "points": points,
        "early_stopping": {"kind": "none"},
        "trials": len(points),
        "seed": seed,
        "checkpoint_every": 0,
        "resources": {
            "measure": False,
            "concurrent_trials": 1,
            "threads_per_trial": len(os.sched_getaffinity(0)),
        },
        # As the sets in curves/ were recorded: the file itself leaves the photos as they are.
        "trial.augment_views": 3,
        "trial.augmentation": {"vertical_flip": False},
        **{f"trial.{key}": value for key, value in fixed.items()},
    }
    command = [sys.executable, "-m", "search", "run", "search/sweeps/rare_families.yaml"]
    for key, value in settings.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    for attempt in range(TRIES):  # Ray does not always start on a machine that is this busy.
        experiment = folder / f"experiment_{seed}_{attempt}"
        status = subprocess.run([*command, "--experiment", str(experiment)]).returncode
        if status == 0:
            return experiment
    raise SystemExit(f"the sweep ended with status {status}")


def write(file: Path, about: dict[str, Any], rows: Sequence[list[Any]]) -> None:
    """Write a set, a line for each curve."""
    file.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    file.write_text(f'{json.dumps(about)[:-1]}, "curves": [\n{lines}\n]}}\n')
