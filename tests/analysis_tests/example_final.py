"""The simulated final stage of the example: final/ with tables that all come from the same predictions."""

import json
from typing import Any

import numpy as np
import pandas as pd

from tests.analysis_tests.example_sweep import VERSIONS, Example, full_config

THRESHOLD = 0.3
PREDICTION_COLUMNS = ["stage", "split", "photo_id", "source", "family", "predicted", "probability", "probability_true"]


def write_final(example: Example, counts: pd.DataFrame, chance: np.random.Generator) -> None:
    """final/ as the final stage leaves it (no model): all tables come from the same simulated predictions."""
    folder = example.experiment / "final"
    folder.mkdir()
    before = predict(counts, chance, {})
    val_f1 = family_f1(before[before["split"] == "validation"])
    weak = [name for name, f1 in val_f1.items() if f1 < THRESHOLD]
    after = predict(counts, chance, dict.fromkeys(weak, 0.15))
    both = pd.concat([before.assign(stage="before"), after.assign(stage="after")])
    both[PREDICTION_COLUMNS].to_csv(folder / "predictions.csv", index=False)
    families_table(counts, before, after, weak).to_csv(folder / "families.csv", index=False)
    simulate_history(chance).to_csv(folder / "history.csv", index=False)
    (folder / "labels.json").write_text(json.dumps({"class_names": counts["family"].tolist(), "image_size": 139}))
    (folder / "metrics.json").write_text(json.dumps(final_metrics(example, before, after, weak)))


def predict(counts: pd.DataFrame, chance: np.random.Generator, boost: dict[str, float]) -> pd.DataFrame:
    """A row per validation and test photo; a wrong answer is mostly one of the two families next in the list."""
    names = counts["family"].tolist()
    rows = []
    for place, name in enumerate(names):
        skill = 0.55 + 0.09 * np.log2(counts["train"][place] / 15) + 0.25 * np.sin(3 * place) + boost.get(name, 0)
        for split in ("validation", "test"):
            for number in range(counts[split][place]):
                right = chance.random() < np.clip(skill, 0.03, 0.98)
                step = int(chance.choice([1, 2, 7], p=[0.6, 0.25, 0.15]))
                guess = name if right else names[(place + step) % (len(names) - 1)]
                sure = float(chance.beta(7, 1.5) if right else chance.beta(4, 2.5))
                truth = sure if guess == name else (1 - sure) * float(chance.random())
                photo = f"{place:03d}-{split}-{number:04d}"
                rows.append([split, photo, f"{name}/{photo}.jpg", name, guess, sure, truth])
    return pd.DataFrame(rows, columns=[column for column in PREDICTION_COLUMNS if column != "stage"])


def family_f1(rows: pd.DataFrame) -> dict[str, float]:
    """F1 of each family that has photos."""
    scores = {}
    for name in sorted(rows["family"].unique()):
        hits = int(((rows["family"] == name) & (rows["predicted"] == name)).sum())
        scores[name] = 2 * hits / int((rows["family"] == name).sum() + (rows["predicted"] == name).sum())
    return scores


def families_table(counts: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame, weak: list[str]) -> pd.DataFrame:
    """families.csv; scores are empty for a family without photos in a split."""
    table = counts.rename(columns={split: f"{split}_photos" for split in ("train", "validation", "test")})
    table = table[["family", "train_photos", "validation_photos", "test_photos"]].copy()
    table["oversampled"] = table["family"].isin(weak)
    for split, short in (("validation", "val"), ("test", "test")):
        for stage, rows in (("before", before), ("after", after)):
            table[f"{short}_f1_{stage}"] = table["family"].map(family_f1(rows[rows["split"] == split]))
    test = after[after["split"] == "test"]
    right = test[test["family"] == test["predicted"]]["family"].value_counts()
    table["test_precision"] = table["family"].map((right / test["predicted"].value_counts()).fillna(0))
    table["test_recall"] = table["family"].map((right / test["family"].value_counts()).fillna(0))
    return table


def simulate_history(chance: np.random.Generator) -> pd.DataFrame:
    """history.csv: two stages of learning curves."""
    rows = []
    for stage, last, lift in (("before", 9, 0.0), ("after", 12, 0.02)):
        for epoch in range(1, last + 1):
            train, val = 0.95 * (1 - np.exp(-0.4 * epoch)), (0.76 + lift) * (1 - np.exp(-0.5 * epoch))
            noise = chance.normal(0, 0.008, 8)
            loss = [0.4 + 3 * (1 - train), 0.6 + 3 * (1 - val)]
            row = {"stage": stage, "epoch": epoch, "learning_rate": 8e-4 * (1 - epoch / (last + 1))}
            for split, share, base, jitter in (("train", train, loss[0], noise[:4]), ("val", val, loss[1], noise[4:])):
                row |= {f"{split}_loss": base + jitter[0], f"{split}_cross_entropy": base - 0.3 + jitter[0]}
                row |= {f"{split}_accuracy": share + 0.03 + jitter[1], f"{split}_macro_f1": share + jitter[2]}
            rows.append(row)
    return pd.DataFrame(rows)


def final_metrics(example: Example, before: pd.DataFrame, after: pd.DataFrame, weak: list[str]) -> dict[str, Any]:
    """metrics.json; the training figures are made up, the others follow from the predictions."""
    stages = {}
    for stage, rows in (("before", before), ("after", after)):
        train = {"accuracy": 0.941, "loss": 0.482, "cross_entropy": 0.211, "macro_f1": 0.928}
        stages[stage] = {"train": train} | {
            split: _figures(rows[rows["split"] == split]) for split in ("validation", "test")
        }
    return {
        "format": 1,
        "stages": stages,
        "chosen": "after",
        "chosen_because": "validation macro F1 is higher after oversampling",
        "oversampled_families": weak,
        "threshold": THRESHOLD,
        "copies": 2,
        "sweep_score": example.best.best,
        "alarm": None,
        "weights": {"kind": "imagenet", "detail": "ImageNet weights from Keras", "warning": None},
        "dataset": {"folder": str(example.dataset), "fingerprint": f"{7:064x}"},
        "config": full_config(example.best),
        "leaks": {
            "passed": True,
            "pairs": [
                {"a": a, "b": b, "by": by, "shared": 0}
                for a, b in (("train", "validation"), ("train", "test"), ("validation", "test"))
                for by in ("photo id", "content hash", "group")
            ],
        },
        "versions": VERSIONS,
        "git_commit": "8a1405b",
        "seconds": 431.2,
    }


def _figures(rows: pd.DataFrame) -> dict[str, float]:
    cross_entropy = float(-np.log(rows["probability_true"].clip(lower=1e-6)).mean())
    return {
        "accuracy": float((rows["family"] == rows["predicted"]).mean()),
        "loss": cross_entropy + 0.27,
        "cross_entropy": cross_entropy,
        "macro_f1": float(np.mean(list(family_f1(rows).values()))),
    }
