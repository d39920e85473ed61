"""search/warm_start.py: earlier trials inform the sampler, and count for nothing else."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from search.config import SweepConfig, sweep_config
from search.provenance import provenance
from search.records import read_experiment
from search.storage import close_storage, open_storage
from search.sweep_file import dump_sweep
from search.warm_start import describe, gather, read_warm_start, write_warm_start
from tests.search_tests.example import FINGERPRINT, sweep
from tests.search_tests.tune_loop import PlayedSweep
from trainables.errors import SweepError
from trainables.handoff import write_json

WIDE = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "dense_units": [128, 256, 512]}
NARROW = {"learning_rate": {"low": 1e-4, "high": 3e-3, "log": True}, "dense_units": [256, 512], "dropout": [0.2, 0.3]}


def finished(config: SweepConfig) -> SweepConfig:
    """Play a sweep and leave its records."""
    folder = Path(config.experiment)
    folder.mkdir(parents=True)
    storage = open_storage(folder)
    PlayedSweep(config, storage=storage, faults={2: 1}).play()
    close_storage(storage)
    (folder / "sweep.yaml").write_text(dump_sweep(config))
    write_json(provenance(config.seed, config.dataset, FINGERPRINT), folder / "provenance.json")
    return config


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> SweepConfig:
    return finished(sweep(tmp_path_factory.mktemp("earlier"), trials=20, seed=3, space=WIDE, sampler="random"))


def later(folder: Path, earlier: SweepConfig, **changes: Any) -> SweepConfig:
    values = {"warm_start": [earlier.experiment], "space": NARROW, "name": "later", "trials": 5}
    return sweep(folder, **{**values, **changes})


def begin(config: SweepConfig) -> PlayedSweep:
    Path(config.experiment).mkdir(parents=True)
    write_warm_start(gather(config, FINGERPRINT), Path(config.experiment))
    return PlayedSweep(config)


def test_trials_are_mapped_to_the_new_space_and_those_outside_it_are_counted(
    tmp_path: Path, earlier: SweepConfig
) -> None:
    gathered = gather(later(tmp_path, earlier), FINGERPRINT)
    trials = read_experiment(earlier.experiment).trials
    inside = [
        trial
        for trial in trials
        if trial.state != "FAIL" and 1e-4 <= trial.params["learning_rate"] <= 3e-3 and trial.params["dense_units"] > 128
    ]
    assert 0 < len(inside) < 19
    # A knob that was fixed there, to its default 0.3, is known all the same.
    assert [trial["params"] for trial in gathered["trials"]] == [{**trial.params, "dropout": 0.3} for trial in inside]
    (source,) = gathered["sources"]
    assert (source["taken"], source["out_of_range"], source["without_result"]) == (len(inside), 19 - len(inside), 1)
    assert describe(source).endswith(
        f"{len(inside)} trials ({19 - len(inside)} out of this space, 1 without a result left out)"
    )


def test_the_sampler_learns_from_them_from_its_first_trial_on(tmp_path: Path, earlier: SweepConfig) -> None:
    cold = PlayedSweep(later(tmp_path / "cold", earlier, warm_start=[])).play()
    warm = begin(later(tmp_path / "warm", earlier)).play()
    assert cold[0].params != warm[0].params
    again = begin(later(tmp_path / "again", earlier)).play()
    assert [trial.params for trial in again] == [trial.params for trial in warm]


def test_they_are_no_trials_of_this_sweep(tmp_path: Path, earlier: SweepConfig) -> None:
    trials = begin(later(tmp_path, earlier)).play()
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]


def test_they_are_read_from_the_experiment_itself_when_the_earlier_one_is_gone(
    tmp_path: Path, earlier: SweepConfig
) -> None:
    config = later(tmp_path, earlier)
    begin(config)
    gone = config.model_copy(update={"warm_start": ("/nowhere",)})
    known = read_warm_start(gone)
    assert [trial.number for trial in known] == list(range(-len(known), 0)) and known
    assert all(isinstance(trial, optuna.trial.FrozenTrial) and trial.value is not None for trial in known)


def test_another_metric_is_refused_and_other_data_are_said(tmp_path: Path, earlier: SweepConfig) -> None:
    with pytest.raises(SweepError, match=r"^warm_start: .* optimised val_macro_f1, not val_loss; only trials judged"):
        gather(later(tmp_path, earlier, metric="val_loss"), FINGERPRINT)
    (source,) = gather(later(tmp_path, earlier, trial={"epochs": 4}), "0ther")["sources"]
    assert source["warning"] == "it differs in dataset, trial.weights, trial.image_size, trial.epochs"


def test_two_objectives_are_learned_from_where_both_are_known(tmp_path: Path, earlier: SweepConfig) -> None:
    two = {"objectives": ["val_macro_f1", "model_mb"]}
    weighed = finished(sweep(tmp_path / "weighed", trials=12, seed=3, space=WIDE, **two))
    config = later(tmp_path / "both", weighed, **two, space=WIDE)
    warm = begin(config).play()
    known = read_warm_start(config)
    assert known and all(trial.values is not None and len(trial.values) == 2 for trial in known)
    cold = PlayedSweep(later(tmp_path / "cold", weighed, **two, space=WIDE, warm_start=[])).play()
    assert cold[0].params != warm[0].params
    assert gather(later(tmp_path / "one", weighed, space=WIDE), FINGERPRINT)["trials"], "its metric is known"
    with pytest.raises(SweepError, match=r"^warm_start: .* weighed no cost, not model_mb; only trials whose two"):
        gather(later(tmp_path / "none", earlier, **two), FINGERPRINT)
    with pytest.raises(SweepError, match=r"^warm_start: .* weighed model_mb, not latency_ms; only trials whose two"):
        gather(later(tmp_path / "other", weighed, objectives=["val_macro_f1", "latency_ms"]), FINGERPRINT)


def test_what_is_no_experiment_is_refused(tmp_path: Path, earlier: SweepConfig) -> None:
    with pytest.raises(SweepError, match=r"holds no sweep\.yaml, so it is no experiment"):
        gather(later(tmp_path, earlier, warm_start=[str(tmp_path)]), FINGERPRINT)


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_a_sampler_that_cannot_learn_from_them_is_refused(sampler: str) -> None:
    values = {"name": "x", "dataset": "d", "experiment": "e", "sampler": sampler, "warm_start": ["runs/first"]}
    with pytest.raises(SweepError, match=r"^warm_start: the (random|grid) sampler "):
        sweep_config(values)
