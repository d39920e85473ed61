"""Folders and sweeps for the tests of this package."""

from pathlib import Path
from typing import Any

from search.config.schema import SweepConfig, sweep_config
from trainables.config import RunSettings
from trainables.data.dataset import MANIFEST, Manifest

FINGERPRINT = "f1ngerprint"


def empty_dataset(folder: Path) -> Path:
    """Write a dataset's marker without any photo: all that a sweep itself looks at."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        fingerprint=FINGERPRINT,
        class_names=["chordata_felidae", "mollusca_nautilidae"],
        counts={"train": {"chordata_felidae": 14, "mollusca_nautilidae": 7}, "validation": {}, "test": {}},
        excluded={},
        exclusion_list=None,
        seed=0,
        fractions=(0.7, 0.15, 0.15),
        grouping=[],
        groups=0,
        label_level="family",
        layout="folders",
        min_photos=3,
        train_only_families=[],
        warnings=[],
        shards=[],
        source=str(folder),
        created="2026-11-23T00:00:00+00:00",
        versions={},
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return folder


def sweep(folder: Path, **changes: Any) -> SweepConfig:
    """Return a small sweep in `folder`/experiment, one trial at a time unless changed."""
    values: dict[str, Any] = {
        "name": "test",
        "dataset": str(empty_dataset(folder / "dataset")),
        "experiment": str(folder / "experiment"),
        "trials": 6,
        "trial": {"epochs": 9, "image_size": 75, "weights": "random"},
        "resources": {"concurrent_trials": 1, "threads_per_trial": 1, "gpus_per_trial": 0},
        "checkpoint_every": 0,
    }
    return sweep_config({**values, **changes})


def run_settings(**changes: Any) -> RunSettings:
    """Return what a trial gets besides its configuration; nothing lies at its paths."""
    values = {"trial": 0, "dataset": "dataset", "store": Path("store"), "threads": 1, "checkpoint_dir": "checkpoints"}
    return RunSettings(**{**values, **changes})
