import csv
import json
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests.trainables_tests.training_example import handoff, make_dataset
from trainables.data.dataset import Dataset
from trainables.data.images import decode_resized
from trainables.errors import UserError
from trainables.final.options import FinalOptions
from trainables.final.retrain import retrain
from trainables.inference.keras_model import load_classifier


def table(final: Path, name: str) -> list[dict[str, str]]:
    with (final / name).open() as rows:
        return list(csv.DictReader(rows))


def test_metrics_hold_both_stages_on_all_three_splits(final: Path) -> None:
    metrics = json.loads((final / "metrics.json").read_text())
    for stage in ("before", "after"):
        for split in ("train", "validation", "test"):
            assert set(metrics["stages"][stage][split]) == {"accuracy", "loss", "cross_entropy", "macro_f1"}
    assert metrics["leaks"]["passed"] is True
    assert metrics["chosen"] in ("before", "after")
    assert metrics["copies"] == 2
    assert metrics["warnings"] == []  # Class weights that were worked out after the copies correct once.


def test_the_figures_follow_from_the_predictions(final: Path) -> None:
    metrics = json.loads((final / "metrics.json").read_text())
    for stage in ("before", "after"):
        for split in ("validation", "test"):
            rows = [row for row in table(final, "predictions.csv") if (row["stage"], row["split"]) == (stage, split)]
            truth, guess = [row["family"] for row in rows], [row["predicted"] for row in rows]
            score = f1_score(truth, guess, average="macro", labels=sorted(set(truth)), zero_division=0)
            assert metrics["stages"][stage][split]["macro_f1"] == pytest.approx(score)
            entropy = -np.log([float(row["probability_true"]) for row in rows]).mean()
            assert metrics["stages"][stage][split]["cross_entropy"] == pytest.approx(entropy, abs=1e-3)


def test_the_family_table_counts_every_photo(final: Path, small_dataset: Dataset) -> None:
    rows = table(final, "families.csv")
    assert [row["family"] for row in rows] == list(small_dataset.class_names)
    assert sum(int(row["test_photos"]) for row in rows) == len(small_dataset.photos("test"))
    # A family with perfect F1 is not below a threshold of 1.
    assert all((row["oversampled"] == "true") == (float(row["val_f1_before"]) < 1) for row in rows)


def test_history_holds_every_epoch_of_both_trainings(final: Path) -> None:
    rows = table(final, "history.csv")
    for stage in ("before", "after"):
        epochs = [int(row["epoch"]) for row in rows if row["stage"] == stage]
        assert epochs == list(range(1, len(epochs) + 1))
        assert epochs


def test_the_saved_model_predicts_what_the_tables_say(final: Path, small_dataset: Dataset) -> None:
    chosen = json.loads((final / "metrics.json").read_text())["chosen"]
    rows = [r for r in table(final, "predictions.csv") if r["split"] == "test" and r["stage"] == chosen]
    source = Path(small_dataset.manifest.source)
    answers = list(load_classifier(final).answers([source / row["source"] for row in rows], top=1))
    assert [answer.guesses[0].family for answer in answers] == [row["predicted"] for row in rows]
    for answer, row in zip(answers, rows, strict=True):
        assert answer.guesses[0].probability == pytest.approx(float(row["probability"]), abs=1e-3)


def test_the_model_loads_with_keras_alone_and_takes_plain_pixels(final: Path, small_dataset: Dataset) -> None:
    photo = next(Path(small_dataset.manifest.source).rglob("*.png"))
    np.save(final.parent / "photo.npy", decode_resized(photo.read_bytes(), 32)[None])
    code = (
        "import keras, numpy, sys; model = keras.models.load_model(sys.argv[1])\n"
        "out = model.predict(numpy.load(sys.argv[2]), verbose=0); assert abs(out.sum() - 1) < 1e-4, out"
    )
    arguments = [sys.executable, "-I", "-c", code, str(final / "model.keras"), str(final.parent / "photo.npy")]
    subprocess.run(arguments, check=True, capture_output=True)


def test_without_weak_families_nothing_is_trained_twice(one_training: tuple[Path, CompletedProcess[str]]) -> None:
    metrics = json.loads((one_training[0] / "metrics.json").read_text())
    assert metrics["stages"]["after"] is None
    assert metrics["chosen"] == "before"


def test_a_score_far_above_the_sweeps_own_is_an_alarm(one_training: tuple[Path, CompletedProcess[str]]) -> None:
    folder, done = one_training
    alarm = json.loads((folder / "metrics.json").read_text())["alarm"]
    assert "far above" in alarm
    assert f"warning: {alarm}\n" in done.stdout


def test_another_dataset_than_the_sweeps_is_refused(small_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the dataset of the sweep"):
        retrain(handoff(small_dataset, dataset_fingerprint="x" * 64), tmp_path / "final", FinalOptions(), print)
    assert not (tmp_path / "final").exists()


def test_other_weights_than_the_sweeps_are_refused(small_dataset: Dataset, tmp_path: Path) -> None:
    other = handoff(small_dataset, weights={"kind": "imagenet", "fingerprint": "imagenet-InceptionV3"})
    with pytest.raises(UserError, match="the sweep used imagenet"):
        retrain(other, tmp_path / "e" / "final", FinalOptions(), print)


def test_an_output_folder_that_holds_another_run_is_refused_and_kept(small_dataset: Dataset, final: Path) -> None:
    before = (final / "metrics.json").read_bytes()
    with pytest.raises(UserError, match="not empty"):
        retrain(handoff(small_dataset), final, FinalOptions(), print)
    assert (final / "metrics.json").read_bytes() == before


def test_a_dataset_that_leaks_is_refused_before_training(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    lines = (dataset.folder / "photos.csv").read_text().splitlines()
    columns = lines[0].split(",")
    group = columns.index("group")
    shared = [line.split(",") for line in lines[1:]]
    one_group = {"train": shared[0][group]}
    for row in shared:
        if row[columns.index("split")] == "test":
            row[group] = one_group["train"]
            break
    (dataset.folder / "photos.csv").write_text("\n".join([lines[0], *(",".join(row) for row in shared)]) + "\n")
    said: list[str] = []
    with pytest.raises(UserError, match="not disjoint"):
        retrain(handoff(dataset), tmp_path / "e" / "final", FinalOptions(), said.append)
    assert not said
