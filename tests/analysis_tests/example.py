"""A simulated experiment on disk, in the formats of the sweep and of the final stage; every value from a seed.

The simulation is crude but consistent: settings decide how well a trial can do, ASHA stops trials by the scores they
reported, families with few photos are confused more often, and all tables are computed from the same predictions.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tests.analysis_tests.example_final import write_final
from tests.analysis_tests.example_sweep import Example, simulate_sweep, write_sweep

PHYLA = {
    "chordata": "felidae canidae ursidae bovidae cervidae equidae hominidae phocidae corvidae laridae anatidae "
    "strigidae picidae trochilidae emydidae cheloniidae crocodylidae varanidae ranidae hylidae",
    "arthropoda": "nymphalidae papilionidae pieridae lycaenidae apidae formicidae",
    "mollusca": "nautilidae octopodidae",
    "cnidaria": "acroporidae mussidae",
}
FAMILIES = [f"{phylum}_{family}" for phylum, names in PHYLA.items() for family in names.split()]


def make_example(
    folder: Path, trials: int = 20, seed: int = 7, final: bool = True, families: int = 30, cost: str | None = None
) -> Example:
    """Write dataset/ and experiment/ (with final/ unless told otherwise) below `folder`.

    `cost` is the second objective, if the sweep has two.
    """
    chance = np.random.default_rng(seed)
    counts = _counts(chance, families)
    example = Example(folder / "dataset", folder / "experiment", simulate_sweep(chance, trials), cost)
    write_dataset(example.dataset, counts, seed)
    write_sweep(example)
    if final:
        write_final(example, counts, chance)
    return example


def _counts(chance: np.random.Generator, families: int) -> pd.DataFrame:
    """Long-tailed photos per family and split, 70/15/15; the last family is kept in training alone."""
    names = [FAMILIES[i] if i < len(FAMILIES) else f"chordata_family{i:03d}" for i in range(families)]
    total = np.sort((21 + chance.pareto(1.1, families) * 24).clip(max=600).astype(int))[::-1]
    table = pd.DataFrame(
        {"family": names, "validation": (total * 0.15).astype(int), "test": (total * 0.15).astype(int)}
    )
    table["train"] = total - table["validation"] - table["test"]
    table.loc[families - 1, ["train", "validation", "test"]] = [2, 0, 0]
    return table


def write_dataset(folder: Path, counts: pd.DataFrame, seed: int) -> None:
    """The files of a prepared dataset that a report reads (no shards)."""
    folder.mkdir(parents=True)
    splits = {s: dict(zip(counts["family"], counts[s].tolist(), strict=True)) for s in ("train", "validation", "test")}
    manifest = {
        "format": 1,
        "fingerprint": f"{seed:064x}",
        "class_names": counts["family"].tolist(),
        "counts": {split: {name: n for name, n in photos.items() if n} for split, photos in splits.items()},
        "excluded": {"unreadable": 3, "near-duplicate": 5},
        "exclusion_list": None,
        "seed": seed,
        "fractions": [0.7, 0.15, 0.15],
        "grouping": ["near-duplicate photos"],
        "groups": int(counts["train"].sum()),
        "label_level": "family",
        "layout": "phylum_family folders",
        "min_photos": 2,
        "train_only_families": counts.loc[counts["test"] == 0, "family"].tolist(),
        "warnings": [],
        "shards": [],
        "source": "/photos/rare_species",
        "created": "2026-11-23T17:02:11+00:00",
        "versions": {"tensorflow": "2.21.0", "pillow": "13.0.0"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
