import csv
import json
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests.trainables_tests.training_example import SMALL, handoff, make_dataset, unread
from trainables.data.dataset import SPLITS, Dataset
from trainables.data.images import decode_resized
from trainables.errors import UserError
from trainables.final.commands import summary
from trainables.final.options import FinalOptions
from trainables.final.retrain import retrain
from trainables.inference.keras_model import load_classifier, read_labels


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
    # Class weights that were worked out after the copies correct once.
    assert [line for line in metrics["warnings"] if "test photos say little" not in line] == []


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
        assert answer.guesses[0].probability == pytest.approx(float(row["calibrated"]), abs=1e-3)


def test_the_model_keeps_its_guarantee_and_metrics_and_card_say_how_it_held(
    final: Path, small_dataset: Dataset
) -> None:
    metrics, guarantee = read_metrics(final), read_labels(final / "model.keras").guarantee
    told = metrics["guarantee"]
    assert guarantee is not None and told["temperature"] == guarantee.temperature
    assert told["photos"] == len(guarantee.scores) == len(small_dataset.photos("validation"))
    rows = [r for r in table(final, "predictions.csv") if r["split"] == "test" and r["stage"] == metrics["chosen"]]
    assert told["test"]["coverage"]["value"] == pytest.approx(np.mean([int(row["covered"]) for row in rows]))
    assert told["test"]["size"] == pytest.approx(np.mean([int(row["set_size"]) for row in rows]))
    card = (final / "model_card.md").read_text()
    assert f"{told['test']['coverage']['value']:.1%} (95 % interval" in card
    assert "The likeliest family is always in the set." in card


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


@pytest.fixture(scope="module")
def last_fits(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    """Folder and lines of a final stage for each --refit, everything else alike."""
    found = {}
    for refit in ("none", "train+validation", "all"):
        said: list[str] = []
        out = tmp_path_factory.mktemp("refit") / "final"
        options = FinalOptions(threshold=0, epochs=2, refit=refit)  # type: ignore[arg-type]
        retrain(handoff(unread(small_dataset), config=SMALL), out, options, said.append)
        found[refit] = out, said
    return found


def read_metrics(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return content


def test_a_last_fit_leaves_all_that_was_chosen_and_trains_as_long_as_validation_said(
    last_fits: dict[str, tuple[Path, list[str]]],
) -> None:
    without = read_metrics(last_fits["none"][0])
    assert without["refit"] is None and "refit" not in without["stages"]
    epochs = max(table(last_fits["none"][0], "history.csv"), key=lambda row: float(row["val_macro_f1"]))["epoch"]
    for refit, splits in (("train+validation", ["train", "validation"]), ("all", ["train", "validation", "test"])):
        folder, said = last_fits[refit]
        metrics = read_metrics(folder)
        assert metrics["stages"]["before"] == without["stages"]["before"] and metrics["chosen"] == without["chosen"]
        tested = refit != "all"
        assert metrics["refit"] == {"splits": splits, "epochs": int(epochs), "tested": tested}
        assert sum(line.startswith("last fit, epoch ") for line in said) == int(epochs)
        assert ("refit" in metrics["stages"]) == tested


def test_the_model_of_a_last_fit_is_the_one_whose_test_figures_are_quoted(
    last_fits: dict[str, tuple[Path, list[str]]], small_dataset: Dataset
) -> None:
    folder, _ = last_fits["train+validation"]
    rows = [row for row in table(folder, "predictions.csv") if row["stage"] == "refit"]
    assert [row["photo_id"] for row in rows] == [photo.photo_id for photo in small_dataset.photos("test")]
    source = Path(small_dataset.manifest.source)
    answers = list(load_classifier(folder).answers([source / row["source"] for row in rows], top=1))
    for answer, row in zip(answers, rows, strict=True):
        assert answer.guesses[0].probability == pytest.approx(float(row["calibrated"]), abs=1e-3)
    truth, guess = [row["family"] for row in rows], [row["predicted"] for row in rows]
    assert read_metrics(folder)["stages"]["refit"]["test"]["macro_f1"] == pytest.approx(
        f1_score(truth, guess, average="macro")
    )
    assert "the test figures are of the last fit" in (folder / "model_card.md").read_text()


def test_after_a_fit_on_all_photos_the_test_figures_are_said_to_be_of_the_model_before_it(
    last_fits: dict[str, tuple[Path, list[str]]], small_dataset: Dataset
) -> None:
    folder, _ = last_fits["all"]
    (warning,) = [line for line in read_metrics(folder)["warnings"] if "trained on the test photos too" in line]
    card = (folder / "model_card.md").read_text()
    assert warning in card and "must not be judged by them" in card
    assert f"{sum(len(small_dataset.photos(split)) for split in SPLITS)} photos of 4 families" in card
    # The model that is handed over is another one than was tested.
    row = next(row for row in table(folder, "predictions.csv") if row["split"] == "test")
    photo = Path(small_dataset.manifest.source) / row["source"]
    (answer,) = load_classifier(folder).answers([photo], top=4)
    given = {guess.family: guess.probability for guess in answer.guesses}
    assert abs(given[row["family"]] - float(row["probability_true"])) > 1e-4


def test_without_test_photos_a_model_is_made_and_nothing_is_said_of_test(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, fractions=(0.85, 0.15, 0.0))
    out, said = tmp_path / "e" / "final", list[str]()
    (out.parent / "tensorboard").mkdir(parents=True)
    options = FinalOptions(threshold=0, epochs=1, refit="all")
    metrics = retrain(handoff(dataset, config=SMALL), out, options, said.append)
    assert set(metrics["stages"]["before"]) == {"train", "validation"} and metrics["alarm"] is None
    assert metrics["refit"] == {"splits": ("train", "validation"), "epochs": 1, "tested": True}
    assert any("no photo was kept for test" in line for line in metrics["warnings"])
    assert {row["split"] for row in table(out, "predictions.csv")} == {"validation"}
    assert "there are no test photos: only validation tells" in said
    card = (out / "model_card.md").read_text()
    assert "No photo was kept for test" in card and "and no test photos" in card and "test F1" not in card
    assert summary(metrics)[-1].startswith("warning: no photo was kept for test")
    assert len(load_classifier(out).labels.class_names) == 4


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


def test_a_second_final_stage_on_the_same_test_photos_is_counted(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    config = SMALL.model_copy(update={"backbone": "simple_cnn"})
    options, said = FinalOptions(threshold=0, epochs=1), []
    for experiment in ("first", "second"):
        (tmp_path / experiment).mkdir()
        said.append(retrain(handoff(dataset, config=config), tmp_path / experiment / "final", options, print))
    first, second = said
    assert first["test_read_before"] == [] and not any("were read" in line for line in first["warnings"])
    [before] = second["test_read_before"]
    assert before["experiment"] == str(tmp_path / "first") and before["purpose"] == "final stage"
    [warning] = [line for line in second["warnings"] if "these test photos were read once before" in line]
    assert f"warning: {warning}" in summary(second)
    card = (tmp_path / "second" / "final" / "model_card.md").read_text()
    assert f"> **Warning:** {warning}." in card
    assert "Test was read once here, and once before by other stages, at the end" in card


def test_no_picture_costs_a_trained_model(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("Expected \\\\frac{num}{den}")

    for name in ("write_pictures", "draw_confusion"):
        monkeypatch.setattr(f"trainables.final.retrain.{name}", broken)
    said: list[str] = []
    out = tmp_path / "e" / "final"
    (out.parent / "tensorboard").mkdir(parents=True)
    retrain(handoff(small_dataset, config=SMALL), out, FinalOptions(threshold=0, epochs=1), said.append)
    assert len(load_classifier(out).labels.class_names) == 4
    assert read_metrics(out)["stages"]["before"]["test"]
    warnings = [line for line in said if line.startswith("warning: ")]
    assert [line.split(" could not")[0] for line in warnings] == [
        "warning: pictures of training photos", "warning: pictures of test"
    ]  # fmt: skip
    assert warnings[0].endswith(f"frac{{num}}{{den}}; the model in {out} is whole")
