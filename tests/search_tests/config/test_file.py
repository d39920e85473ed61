"""search/config/file.py: YAML and overrides."""

from pathlib import Path
from typing import get_args, get_origin

import pytest

from search.config.file import PLACES, dump_sweep, read_sweep
from search.config.schema import SweepConfig
from search.config.space import Choices, Range
from tests.checkout import ROOT
from trainables.errors import UserError

SWEEPS = ROOT / "search" / "sweeps"


def write(folder: Path, text: str) -> Path:
    file = folder / "my_sweep.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", sorted(SWEEPS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_sweep_is_valid_and_reads_back_from_its_dump(file: Path, tmp_path: Path) -> None:
    config = read_sweep(file)
    again = tmp_path / "again.yaml"
    again.write_text(dump_sweep(config))
    assert read_sweep(again) == config


def test_name_and_folder_default_to_the_files_name_and_paths_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = read_sweep(write(tmp_path, "dataset: photos\ntrial: {weights: w.h5}\nstore: s\n"))
    assert (config.name, config.experiment) == ("my_sweep", str(tmp_path / "runs" / "my_sweep"))
    assert (config.dataset, config.store) == (str(tmp_path / "photos"), str(tmp_path / "s"))
    assert config.trial["weights"] == str(tmp_path / "w.h5")


def test_weights_that_are_no_file_keep_their_name(tmp_path: Path) -> None:
    text = "dataset: d\nspace: {weights: [random, imagenet, /w.h5]}\n"
    assert read_sweep(write(tmp_path, text)).space["weights"] == Choices(values=("random", "imagenet", "/w.h5"))


def test_every_key_can_be_overridden_however_deep(tmp_path: Path) -> None:
    overrides = [
        "trials=3",
        "space.learning_rate.high=1e-3",
        "space.augmentation.rotation={low: 0, high: 30}",
        "early_stopping.kind=none",
        "trial.augmentation.zoom=0.3",
        "space.dense_units=[64]",
    ]
    config = read_sweep(write(tmp_path, "dataset: d\n"), overrides)
    assert (config.trials, config.early_stopping.kind) == (3, "none")
    # One bound of a knob of the default space: the other bound and the other knobs stay.
    assert config.space["learning_rate"] == Range(low=1e-5, high=1e-3, log=True)
    assert config.space["augmentation.rotation"] == Range(low=0.0, high=30.0)
    assert config.space["dense_units"] == Choices(values=(64,))
    assert set(config.space) == {
        "learning_rate", "dropout", "dense_units", "unfrozen_layers", "augmentation.rotation"
    }  # fmt: skip
    assert config.trial["augmentation"] == {"zoom": 0.3}


@pytest.mark.parametrize("place", ["runs/x #2", "2026-11-27", "1:30", "010", "a: b", "[1] {x}", "a%20b?c", " x"])
def test_a_place_is_taken_letter_by_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path / place)
    file = write(tmp_path, "dataset: d\n")
    config = read_sweep(file, [f"{key}={place}" for key in ("name", "dataset", "store", "trial.weights")])
    assert (config.name, config.dataset, config.store, config.trial["weights"]) == (place, here, here, here)
    for config in (read_sweep(file, [f"experiment={place}"]), read_sweep(file, places={"experiment": place})):
        assert config.experiment == here
        again = tmp_path / "again.yaml"
        again.write_text(dump_sweep(config))
        assert read_sweep(again) == config


def test_null_quotes_and_mappings_keep_their_meaning_in_a_place(tmp_path: Path) -> None:
    overrides = ["store=null", "name='010'", "trial.weights={inception_v3: /w.h5}"]
    config = read_sweep(write(tmp_path, "dataset: d\nstore: s\n"), overrides)
    assert (config.store, config.name, config.trial["weights"]) == (None, "010", {"inception_v3": "/w.h5"})


def test_every_key_that_is_text_is_a_place_or_one_of_a_few_words() -> None:
    text = {
        key
        for key, field in SweepConfig.model_fields.items()
        if field.annotation is str
        or (get_origin(field.annotation) not in (tuple, dict) and str in get_args(field.annotation))
    }
    assert text - {"metric"} | {"storage", "trial.weights"} == PLACES


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("budget.hours=1:30", "budget.hours: input should be a valid number, not '1:30'"),
        ("budget.epochs=yes", "budget.epochs: input should be a valid integer, not 'yes'"),
        ("trials=true", "trials: input should be a valid integer, not True"),
        ("trials='20'", "trials: input should be a valid integer, not '20'"),
        ("trial.learning_rate=1_0", "trial.learning_rate: input should be a valid number, not '1_0'"),
        ("trial.epochs=true", "trial.epochs: input should be a valid integer, not True"),
        ("trial.augmentation.zoom='0.1'", "trial.augmentation.zoom: input should be a valid number, not '0.1'"),
        ("space.dense_units=[128, yes]", "space.dense_units: input should be a valid integer, not 'yes'"),
    ],
)
def test_a_number_is_a_number(tmp_path: Path, override: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        read_sweep(write(tmp_path, "dataset: d\n"), [override])
    assert str(caught.value) == line


def test_a_section_may_be_given_before_one_of_its_keys(tmp_path: Path) -> None:
    read = read_sweep(write(tmp_path, "dataset: d\n"), ["budget={epochs: 3}", "budget.hours=1"])
    assert (read.budget.epochs, read.budget.hours) == (3, 1)


def test_a_place_is_not_given_in_two_ways(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--set experiment: is given twice"):
        read_sweep(write(tmp_path, "dataset: d\n"), ["experiment=a"], {"experiment": "b"})


def test_a_number_with_a_leading_zero_is_decimal(tmp_path: Path) -> None:
    assert read_sweep(write(tmp_path, "dataset: d\n"), ["trials=010"]).trials == 10


@pytest.mark.parametrize(
    ("text", "overrides", "line"),
    [
        ("dataset: [", [], "is not YAML"),
        ("- a\n", [], "must map keys to values"),
        ("", [], "must map keys to values"),
        ("dataset: d\ndataset: e\n", [], "the key 'dataset' stands twice"),
        ("dataset: d\n", ["trials"], "--set takes key=value, not 'trials'"),
        ("dataset: d\n", ["=3"], "--set takes key=value, not '=3'"),
        ("dataset: d\n", ["trials.most=3"], "trials: input should be a valid integer"),
        ("dataset: d\ntrials: 3\n", ["trials.most=3"], "--set trials.most=3: trials has no keys, it is 3"),
        ("dataset: d\n", ["space.dropout=[0.1"], "the value is not YAML"),
        ("dataset: d\n", ["no_such_key=1"], "unknown key 'no_such_key'"),
        ("dataset: d\n", ["trials=!!int a"], "--set trials=!!int a: the value is not YAML"),
        ("dataset: d\n", ["trials=3", "trials=4"], "--set trials: is given twice, and only one of the values"),
        ("dataset: d\n", ["budget.hours=1", "budget={epochs: 3}"], "--set budget.hours: would be undone by the later"),
    ],
)
def test_a_bad_file_or_override_is_refused_in_one_line(
    tmp_path: Path, text: str, overrides: list[str], line: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_sweep(write(tmp_path, text), overrides)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml does not exist"):
        read_sweep(tmp_path / "none.yaml")
