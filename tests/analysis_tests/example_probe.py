"""A probe for the simulated experiment, in its records and in its final stage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.analysis_tests.example_final import family_f1
from tests.probe_example import probe_record


def add_probe(experiment: Path, wrong: float | None = None, handed_over: bool = False, **figures: Any) -> None:
    """Write probe/ with these figures; with `wrong`, the share of the answers that it spoils, the final stage's too."""
    (experiment / "probe").mkdir()
    record = probe_record(**figures)
    (experiment / "probe" / "probe.json").write_text(record.model_dump_json())
    if wrong is None:
        return
    final = experiment / "final"
    predictions = pd.read_csv(final / "predictions.csv")
    own = predictions[predictions["stage"] == "after"].assign(stage="probe").reset_index(drop=True)
    spoiled = np.random.default_rng(0).random(len(own)) < wrong
    own.loc[spoiled, "predicted"] = own["family"].iloc[0]
    pd.concat([predictions, own]).to_csv(final / "predictions.csv", index=False)
    families = pd.read_csv(final / "families.csv")
    scores = {split: family_f1(own[own["split"] == split]) for split in ("validation", "test")}
    families["val_f1_probe"] = families["family"].map(scores["validation"])
    families["test_f1_probe"] = families["family"].map(scores["test"])
    families.to_csv(final / "families.csv", index=False)
    metrics = json.loads((final / "metrics.json").read_text())
    metrics["stages"]["probe"] = {
        split: {
            "accuracy": float((rows["family"] == rows["predicted"]).mean()),
            **{"loss": 0.5, "cross_entropy": 0.5},
            "macro_f1": float(np.mean(list(family_f1(rows).values()))),
        }
        for split, rows in own.groupby("split")
    }
    metrics |= {"trial_chosen": "after", "probe": record.model_dump(mode="json", exclude={"tried"})}
    if handed_over:
        metrics |= {"chosen": "probe", "chosen_because": "the trial does not beat the probe"}
    (final / "metrics.json").write_text(json.dumps(metrics))
