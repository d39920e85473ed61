"""search/config/file.py: YAML and overrides."""

from pathlib import Path

import pytest

from search.config.file import dump_sweep, parse_yaml, read_sweep
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


def test_numbers_are_read_as_people_write_them() -> None:
    assert parse_yaml("[1e-5, 1E3, -2e+2, 1.5e-3, 1_0e1]") == [1e-5, 1000.0, -200.0, 0.0015, 100.0]
    assert parse_yaml("[e-5, 1e, a1e5]") == ["e-5", "1e", "a1e5"]


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
