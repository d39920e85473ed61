"""The main job as a user does it, on a slice of the real photos: photos in; model, figures and report out."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from tests.checkout import ROOT

FAMILIES = {  # How many photos of each to take; a long tail, with one family too small to split.
    "chordata_felidae": 60,
    "arthropoda_nymphalidae": 45,
    "chordata_parulidae": 40,
    "chordata_crocodylidae": 30,
    "chordata_phoenicopteridae": 24,
    "mollusca_nautilidae": 20,
    "arthropoda_formicidae": 2,
}
TRIALS, EPOCHS = 5, 3

pytestmark = pytest.mark.slow


def run(*arguments: str | Path) -> str:
    """Run a command of ours and return what it printed."""
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=900)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def photos(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slice as a folder of links, with one truncated photo among them."""
    folder = tmp_path_factory.mktemp("photos")
    for family, count in FAMILIES.items():
        (folder / family).mkdir()
        for photo in sorted((shared / "data" / "rare_families" / family).iterdir())[:count]:
            (folder / family / photo.name).symlink_to(photo)
    whole = next((folder / "chordata_felidae").iterdir()).read_bytes()
    (folder / "chordata_felidae" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def dataset(photos: Path) -> Path:
    run("trainables", "prepare", photos, photos.parent / "dataset")
    return photos.parent / "dataset"


@pytest.fixture(scope="module")
def experiment(dataset: Path, shared: Path) -> Path:
    sweep = {
        "dataset": str(dataset),
        "experiment": str(dataset.parent / "runs" / "experiment"),
        "trials": TRIALS,
        "trial": {
            "image_size": 75,
            "epochs": EPOCHS,
            "augment_views": 2,
            "weights": str(shared / "weights" / "inception_v3_imagenet_notop.weights.h5"),
        },
    }
    file = dataset.parent / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep))
    said = run("search", "run", file, "--set", "early_stopping.reduction_factor=2")
    assert "best val_macro_f1" in said
    assert "forecast     about" in said
    assert "stored pictures were read" in said
    return Path(sweep["experiment"])


@pytest.fixture(scope="module")
def final(experiment: Path) -> Path:
    run("trainables", "retrain", experiment / "best.json", "--threshold", "0.95")
    return experiment / "final"


def table(file: Path) -> list[dict[str, str]]:
    with file.open() as rows:
        return list(csv.DictReader(rows))


def test_the_dataset_holds_every_photo_once_and_lists_the_truncated_one(dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    photos = table(dataset / "photos.csv")
    assert len(photos) == sum(FAMILIES.values())
    assert len({photo["sha256"] for photo in photos}) == len(photos)
    assert manifest["train_only_families"] == ["arthropoda_formicidae"]
    assert manifest["excluded"] == {"truncated": 1}
    assert [row["source"] for row in table(dataset / "excluded.csv")] == ["chordata_felidae/truncated.jpg"]
    assert "disjoint" in run("trainables", "check", dataset)


def test_the_study_holds_every_trial_with_its_reason(experiment: Path) -> None:
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{experiment / 'study.db'}")
    assert len(study.trials) == TRIALS
    for trial in study.trials:
        assert trial.state.name in ("COMPLETE", "PRUNED")
        assert set(trial.params) == {"learning_rate", "dropout", "dense_units", "unfrozen_layers"}
        assert trial.user_attrs["stop"]["reason"]
        epochs = (experiment / "trials" / f"{trial.number:04d}" / "epochs.jsonl").read_text().splitlines()
        logged = {line["epoch"]: line["val_macro_f1"] for line in map(json.loads, epochs)}
        assert logged == pytest.approx(trial.intermediate_values)


def test_best_json_is_the_best_epoch_of_the_study_and_beats_chance(experiment: Path, dataset: Path) -> None:
    best = json.loads((experiment / "best.json").read_text())
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{experiment / 'study.db'}")
    values = [value for trial in study.trials for value in trial.intermediate_values.values()]
    assert best["score"] == max(values)
    assert best["score"] > 0.5  # Chance is under 0.2; random weights stay near it.
    assert best["dataset_fingerprint"] == json.loads((dataset / "manifest.json").read_text())["fingerprint"]
    assert best["weights"]["kind"] == "file"


def test_the_probe_came_before_the_trials_and_stands_in_the_records(experiment: Path) -> None:
    record = json.loads((experiment / "probe" / "probe.json").read_text())
    assert record["val_macro_f1"] > 0.5 and record["config"]["image_size"] == 75 and record["tried"]
    assert (experiment / "probe" / "solution.npz").is_file() and (experiment / "tensorboard" / "probe").is_dir()
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{experiment / 'study.db'}")
    assert study.user_attrs["probe"] == {name: value for name, value in record.items() if name != "tried"}
    assert json.loads((experiment / "best.json").read_text())["probe"]["val_macro_f1"] == record["val_macro_f1"]


def test_tensorboard_shows_scalars_and_the_four_parameters_of_every_trial(experiment: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    runs = sorted((experiment / "tensorboard").glob("trial_*"))
    assert len(runs) == TRIALS
    for folder in runs:
        events = EventAccumulator(str(folder))
        events.Reload()
        assert {"val_macro_f1", "train_loss", "best_val_macro_f1"} <= set(events.Tags()["scalars"])
        start = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        assert all(name in start for name in (b"learning_rate", b"dropout", b"dense_units", b"unfrozen_layers"))


def test_the_final_stage_oversampled_weak_families_and_tested_once(final: Path, dataset: Path) -> None:
    metrics = json.loads((final / "metrics.json").read_text())
    families = {row["family"]: row for row in table(final / "families.csv")}
    weak = {name for name, row in families.items() if row["val_f1_before"] and float(row["val_f1_before"]) < 0.95}
    assert set(metrics["oversampled_families"]) == weak
    assert metrics["leaks"]["passed"] is True
    tested = [row for row in table(final / "predictions.csv") if row["split"] == "test" and row["stage"] == "before"]
    expected = {row["photo_id"] for row in table(dataset / "photos.csv") if row["split"] == "test"}
    assert {row["photo_id"] for row in tested} == expected
    trial, probe = (metrics["stages"][stage]["validation"]["macro_f1"] for stage in (metrics["trial_chosen"], "probe"))
    assert (metrics["chosen"] == "probe") == (trial - probe <= metrics["hand_over_margin"])
    assert metrics["stages"][metrics["chosen"]]["test"]["macro_f1"] > 0.5


def test_predict_names_the_family_of_most_photos(final: Path, photos: Path, dataset: Path) -> None:
    tested = [row for row in table(dataset / "photos.csv") if row["split"] == "test"]
    files = [str(photos / row["source"]) for row in tested]
    said = run("trainables", "predict", final, *files, "--top", "1").splitlines()
    guesses = dict(zip(said[0::2], (line.split("%")[1].strip() for line in said[1::2]), strict=True))
    right = sum(guesses[file] == row["family"] for file, row in zip(files, tested, strict=True))
    assert right / len(files) > 0.5


def test_the_most_confident_mistakes_have_their_pictures(final: Path) -> None:
    chosen = json.loads((final / "metrics.json").read_text())["chosen"]
    rows = [row for row in table(final / "predictions.csv") if (row["stage"], row["split"]) == (chosen, "test")]
    wrong = {row["photo_id"]: float(row["probability"]) for row in rows if row["predicted"] != row["family"]}
    mistakes = table(final / "pictures" / "mistakes.csv")
    assert [wrong[row["photo_id"]] for row in mistakes] == sorted(wrong.values(), reverse=True)[:24]
    assert all((final / "pictures" / row[name]).is_file() for row in mistakes for name in ("photo", "cam"))


def test_explain_and_export_need_the_model_file_alone(final: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copy(final / "model.keras", tmp_path)
    photo = next((photos / "mollusca_nautilidae").iterdir())
    said = run("trainables", "explain", tmp_path / "model.keras", photo, "--out", tmp_path / "explained")
    # Of InceptionV3 at 75 pixels these have at least 5 × 5; which is looked at depends on the model's depths.
    assert re.search(r"at the layer mixed[0-2], 7 × 7 cells", said)
    assert (tmp_path / "explained" / f"{photo.stem}_cam.jpg").stat().st_size > 1000
    said = run("trainables", "export", tmp_path / "model.keras", "--format", "saved_model")
    assert "no probability differs" in said
    assert (tmp_path / "exported" / "saved_model" / "saved_model.pb").is_file()


def test_the_final_stage_stands_in_tensorboard(experiment: Path, final: Path) -> None:
    assert {"final", "final_before"} <= {run.name for run in (experiment / "tensorboard").iterdir()}


def test_the_report_shows_this_runs_own_figures(experiment: Path, final: Path) -> None:
    run("analysis", "report", experiment)
    page = (experiment / "report" / "index.html").read_text()
    metrics = json.loads((final / "metrics.json").read_text())
    test = metrics["stages"][metrics["chosen"]]["test"]
    assert f"{100 * test['macro_f1']:.1f}" in page
    assert f"{100 * test['accuracy']:.1f}" in page
    assert json.loads((experiment / "best.json").read_text())["dataset_fingerprint"][:12] in page
    assert "The probe, " in page and "Both were judged on the same" in page
    # The page leaves the phylum out where the family's name is unmistakable without it.
    assert all(family.partition("_")[2] in page for family in FAMILIES)
    assert page.count("<svg") >= 5
    for outside in ('src="http', 'href="http', "@import"):
        assert outside not in page
