"""search/sampling/warm_start.py: earlier trials inform the sampler, and count for nothing else."""

import re
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from search.config.file import dump_sweep, read_sweep
from search.config.schema import SweepConfig, sweep_config
from search.experiment.provenance import provenance
from search.records import read_experiment
from search.sampling.warm_start import describe, gather, read_warm_start
from search.study.storage import opened_storage
from tests.search_tests.example import FINGERPRINT, sweep
from tests.search_tests.tune_loop import PlayedSweep
from trainables.errors import UserError
from trainables.files.output import write_json

WIDE = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "dense_units": [128, 256, 512]}
NARROW = {"learning_rate": {"low": 1e-4, "high": 3e-3, "log": True}, "dense_units": [256, 512], "dropout": [0.2, 0.3]}


def finished(config: SweepConfig) -> SweepConfig:
    """Play a sweep and leave its records."""
    folder = Path(config.experiment)
    folder.mkdir(parents=True)
    with opened_storage(folder) as storage:
        PlayedSweep(config, storage=storage, faults={2: 1}).play()
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
    write_json(gather(config, FINGERPRINT), Path(config.experiment) / "warm_start.json")
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


# Studies in storages


def plain_study(storage: Any, name: str = "plain", **kinds: Any) -> optuna.Study:
    """A study that no sweep of ours made: six trials that ended, two without a result, and a parameter of its own."""
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    ranges: dict[str, optuna.distributions.BaseDistribution] = {
        "learning_rate": optuna.distributions.FloatDistribution(1e-6, 1e-1, log=True),
        "dense_units": optuna.distributions.CategoricalDistribution([64, 256, 512]),
        "dropout": optuna.distributions.FloatDistribution(0.0, 0.9),
        "momentum": optuna.distributions.FloatDistribution(0.0, 1.0),
        **kinds,
    }
    values = {"dense_units": 256, "dropout": 0.2, "momentum": 0.9}
    for rate in (1e-5, 1e-4, 3e-4, 1e-3, 2e-3, 1e-2):
        params = {"learning_rate": rate, **values}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, value=0.5 + rate))
    for state in (optuna.trial.TrialState.FAIL, optuna.trial.TrialState.PRUNED):
        params = {"learning_rate": 1e-3, **values}
        more = {} if state.name == "FAIL" else {"intermediate_values": {500: 0.4}}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, state=state, **more))
    return study


def test_an_experiments_study_gives_the_same_as_the_experiment(tmp_path: Path, earlier: SweepConfig) -> None:
    study = {"storage": f"sqlite:///{earlier.experiment}/study.db", "study": earlier.name}
    by_study = gather(later(tmp_path, earlier, warm_start=[study]), FINGERPRINT)
    by_folder = gather(later(tmp_path, earlier), FINGERPRINT)
    assert by_study["trials"] == by_folder["trials"] and by_study["trials"]
    (there,), (here,) = by_study["sources"], by_folder["sources"]
    # PlayedSweep begins a study on other data than provenance.json says.
    assert there == {**here, "name": there["name"], "warning": "it differs in dataset"}


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_of_anybodys_study_what_can_be_used_is_and_the_rest_is_said(
    tmp_path: Path, earlier: SweepConfig, kind: str
) -> None:
    file = tmp_path / "old"
    journal = optuna.storages.journal.JournalFileBackend(str(file))
    plain_study(f"sqlite:///{file}" if kind == "sqlite" else optuna.storages.JournalStorage(journal))
    before = file.read_bytes()
    config = later(tmp_path, earlier, warm_start=[{"storage": str(file), "study": "plain"}])
    gathered = gather(config, FINGERPRINT)
    assert [entry["params"]["learning_rate"] for entry in gathered["trials"]] == [1e-4, 3e-4, 1e-3, 2e-3]
    assert gathered["trials"][0]["params"] == {"learning_rate": 1e-4, "dense_units": 256, "dropout": 0.2}
    assert describe(gathered["sources"][0]) == (
        f"warm start from study 'plain' in {file}: 4 trials (2 out of this space, 2 without a result left out); "
        "warning: it differs in momentum; it does not name its objective, which is taken for val_macro_f1"
    )
    assert file.read_bytes() == before
    assert [trial.number for trial in begin(config).play()] == [0, 1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # The study is made as users make one.
def test_a_study_that_says_nothing_of_this_sweep_is_refused(tmp_path: Path, earlier: SweepConfig) -> None:
    file = tmp_path / "old.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    optuna.create_study(storage=storage, study_name="loss", direction="minimize")
    optuna.create_study(storage=storage, study_name="two", directions=["maximize", "minimize"])
    optuna.create_study(storage=storage, study_name="named", direction="maximize").set_metric_names(["accuracy"])
    plain_study(storage)
    refused = {
        "loss": "is to minimize its objective, val_macro_f1 is to be maximized",
        "two": "has 2 objectives, not val_macro_f1 alone",
        "named": "optimised accuracy, not val_macro_f1",
        "absent": f"{file} holds no study 'absent'; it holds 'loss', 'named', 'plain', 'two'",
    }
    for name, line in refused.items():
        with pytest.raises(UserError, match=re.escape(line)):
            gather(later(tmp_path, earlier, warm_start=[{"storage": str(file), "study": name}]), FINGERPRINT)
    space = {**NARROW, "label_smoothing": [0.0, 0.1]}
    with pytest.raises(UserError, match="has no parameter 'label_smoothing', so nothing is known of that knob"):
        gather(later(tmp_path, earlier, warm_start=[{"storage": str(file), "study": "plain"}], space=space), "f")


def test_a_file_without_a_study_is_refused_and_stays_as_it_is(tmp_path: Path, earlier: SweepConfig) -> None:
    for content, line in (
        ("", "holds no tables of Optuna's"),
        ("{}\n{", "neither an SQLite"),
        ("x" * 99, "not a data"),
    ):
        file = tmp_path / "old.db"
        file.write_text(content)
        for source, said in (({"storage": str(file), "study": "x"}, line), (str(file), "is a file; a study in it is")):
            with pytest.raises(UserError, match=said):
                gather(later(tmp_path, earlier, warm_start=[source]), FINGERPRINT)
        assert file.read_text() == content
    with pytest.raises(UserError, match=r"/nowhere\.db does not exist"):
        gather(later(tmp_path, earlier, warm_start=[{"storage": "/nowhere.db", "study": "x"}]), FINGERPRINT)


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://me:word@h/db#x",
        ["postgresql://me:word@h/db#x"],
        [{"storage": "postgresql://me:word@h/db"}],
        [{"storage": "postgresql://me:word@h", "study": "x"}],
        [{"storage": "mysql://me:word@h/db", "study": "x"}],
        [{"storage": "postgresql://me:word@h/db", "study": 7}],
        [""],
    ],
)
def test_what_names_no_source_is_one_line_that_does_not_repeat_it(wrong: Any) -> None:
    with pytest.raises(UserError) as caught:
        sweep_config({"name": "x", "dataset": "d", "experiment": "e", "warm_start": wrong})
    said = str(caught.value)
    assert said.startswith("warm_start") and "{storage: FILE or postgresql://" in said and "word" not in said


def test_a_study_stands_in_the_sweep_file_as_it_was_given_but_for_its_place(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("dataset: d\nwarm_start: [runs/first, {storage: sqlite:///%231.db, study: a}]\n")
    config = read_sweep(file, [])
    there = [str(Path("runs/first").absolute()), {"storage": str(Path("#1.db").absolute()), "study": "a"}]
    assert yaml.safe_load(dump_sweep(config))["warm_start"] == there
    file.write_text(dump_sweep(config))
    assert read_sweep(file, []) == config


# What is refused


def test_another_metric_is_refused_and_other_data_are_said(tmp_path: Path, earlier: SweepConfig) -> None:
    with pytest.raises(UserError, match=r"^warm_start: .* optimised val_macro_f1, not val_loss; only trials judged"):
        gather(later(tmp_path, earlier, metric="val_loss"), FINGERPRINT)
    (source,) = gather(later(tmp_path, earlier, trial={"epochs": 4}), "0ther")["sources"]
    assert source["warning"] == "it differs in dataset, trial.weights, trial.image_size, trial.epochs"


def test_two_objectives_are_learned_from_where_both_are_known(tmp_path: Path, earlier: SweepConfig) -> None:
    two = {"objectives": ["val_macro_f1", "model_mb"]}
    scored = finished(sweep(tmp_path / "weighed", trials=12, seed=3, space=WIDE, **two))
    config = later(tmp_path / "both", scored, **two, space=WIDE)
    warm = begin(config).play()
    known = read_warm_start(config)
    assert known and all(trial.values is not None and len(trial.values) == 2 for trial in known)
    cold = PlayedSweep(later(tmp_path / "cold", scored, **two, space=WIDE, warm_start=[])).play()
    assert cold[0].params != warm[0].params
    assert gather(later(tmp_path / "one", scored, space=WIDE), FINGERPRINT)["trials"], "its metric is known"
    with pytest.raises(UserError, match=r"^warm_start: .* weighed no cost, not model_mb; only trials whose two"):
        gather(later(tmp_path / "none", earlier, **two), FINGERPRINT)
    with pytest.raises(UserError, match=r"^warm_start: .* weighed model_mb, not latency_ms; only trials whose two"):
        gather(later(tmp_path / "other", scored, objectives=["val_macro_f1", "latency_ms"]), FINGERPRINT)


def test_what_is_no_experiment_is_refused(tmp_path: Path, earlier: SweepConfig) -> None:
    with pytest.raises(UserError, match=r"holds no sweep\.yaml, so it is no experiment"):
        gather(later(tmp_path, earlier, warm_start=[str(tmp_path)]), FINGERPRINT)


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_a_sampler_that_cannot_learn_from_them_is_refused(sampler: str) -> None:
    values = {"name": "x", "dataset": "d", "experiment": "e", "sampler": sampler, "warm_start": ["runs/first"]}
    with pytest.raises(UserError, match=r"^warm_start: the (random|grid) sampler "):
        sweep_config(values)
