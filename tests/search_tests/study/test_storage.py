"""search/study/storage.py and study.py: a study on a real PostgreSQL server, and no password anywhere."""

import contextlib
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
import ray.cloudpickle
from optuna.trial import TrialState

from search.__main__ import main
from search.config.file import dump_sweep, write_sweep
from search.config.schema import SweepConfig, sweep_config
from search.config.storage_url import StorageUrl, StudyAddress, parse_sources, parse_url, redact
from search.config.trial_plan import Plan
from search.experiment.provenance import add_session, provenance
from search.records import read_experiment
from search.resume import read_resumed
from search.sampling.warm_start import describe, gather
from search.stopping.rules import HalvingRule, RuleReplay, make_rule
from search.study import storage as storage_module
from search.study.storage import (
    PATIENT,
    open_for_reading,
    open_storage,
    opened_storage,
    read_study,
    root_cause,
    sole_driver,
    sqlite_address,
)
from search.study.study import check_name, create_study, load_study, open_study, open_trials
from search.study.trial_record import DRIVER
from search.tune.searcher import StudySearch
from tests.search_tests.example import FINGERPRINT, sweep
from tests.search_tests.postgres import PASSWORD, USER, server
from tests.search_tests.sampling.test_warm_start import NARROW, plain_study
from tests.search_tests.tune_loop import PlayedSweep
from trainables.errors import UserError
from trainables.files.output import write_json


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL, with the password, of a database on a server of the tests' own."""
    with server() as address:
        yield f"postgresql://{USER}:{PASSWORD}@{address}/postgres"


@pytest.fixture
def on_server(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> SweepConfig:
    """A sweep whose study, named for the test, is to lie on the server."""
    return sweep(tmp_path, name=request.node.name, storage=database, trials=6, sampler="random")


@pytest.mark.parametrize("name", ["a%20b", "a?b=c", "a#b", "[1]", "{x}", "a&b @c:d"])
def test_a_study_lies_in_its_experiment_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    experiment = tmp_path / name
    experiment.mkdir()
    with opened_storage(experiment) as storage:
        create_study("first", "max", storage)
    assert [file.name for file in experiment.iterdir()] == ["study.db"]
    assert list(tmp_path.iterdir()) == [experiment]
    address = sqlite_address(experiment / "study.db")
    assert optuna.get_all_study_names(address) == ["first"]
    assert parse_sources([{"storage": address, "study": "first"}]) == (StudyAddress(experiment / "study.db", "first"),)
    assert read_study(experiment / "study.db", "first").trials == []


def test_the_password_is_taken_out_of_the_url() -> None:
    url = parse_url("postgresql://me:p%40ss@db.example:5433/studies?sslmode=require")
    assert url == StorageUrl("postgresql://me@db.example:5433/studies?sslmode=require")
    assert url.password == "p@ss" and "ss" not in repr(url).replace("sslmode", "")
    assert parse_url("postgres://db/s") == StorageUrl("postgresql://db/s", None)
    assert pickle.loads(pickle.dumps(url)).password is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://me:word@h/s", "not mysql://…"),
        ("study.db", "not a path"),
        ("postgresql://me:word@h", "the database is missing"),
        ("postgresql://me:word@h:port/s", "must be postgresql://"),
        ("postgresql://h/s?password=word", "must be postgresql://"),
    ],
)
def test_what_is_no_postgresql_url_is_refused_without_repeating_it(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(UserError) as caught:
        sweep(tmp_path, storage=url)
    assert why in str(caught.value) and "word@" not in str(caught.value) and "=word" not in str(caught.value)


def test_a_command_line_is_recorded_without_its_password() -> None:
    assert redact("storage=postgresql://me:pa:ss@h/s") == "storage=postgresql://me:***@h/s"
    for plain in ("trials=3", "storage=postgresql://me@h/s", "https://h:80/s", "space.dropout={low: 0}"):
        assert redact(plain) == plain


def test_a_sweep_on_postgresql_has_the_record_that_one_on_sqlite_has(on_server: SweepConfig, tmp_path: Path) -> None:
    with opened_storage(tmp_path, on_server.storage) as storage:
        there = PlayedSweep(on_server, storage=storage).play()
        (tmp_path / "sqlite").mkdir()
        with opened_storage(tmp_path / "sqlite") as here:
            expected = PlayedSweep(on_server, storage=here).play()
        assert [(t.params, t.state, t.value, t.intermediate_values, t.user_attrs["stop"]) for t in there] == [
            (t.params, t.state, t.value, t.intermediate_values, t.user_attrs["stop"]) for t in expected
        ]


def test_analysis_reads_an_experiment_whose_study_is_on_the_server(
    on_server: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(on_server.experiment)
    folder.mkdir()
    write_sweep(on_server, folder)
    with opened_storage(folder, on_server.storage) as storage:
        PlayedSweep(on_server, storage=storage).play()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert len(read_experiment(folder).trials) == 6
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(UserError, match=r"^storage: postgresql://raretune@127.* cannot be used: .*password auth"):
        read_experiment(folder)


def test_a_name_that_is_taken_is_refused_before_anything_is_written(on_server: SweepConfig, tmp_path: Path) -> None:
    check_name(on_server, "f", join=False)
    with opened_storage(tmp_path, on_server.storage) as storage:
        open_study(on_server, "f", storage, join=False)
    with pytest.raises(UserError, match="exists in this storage; give the sweep another `name`, go on with that"):
        check_name(on_server, "f", join=False)
    assert not Path(on_server.experiment).exists()


def test_only_a_study_about_the_same_is_joined(on_server: SweepConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no study"):
        check_name(on_server, "f", join=True)
    with opened_storage(tmp_path, on_server.storage) as storage:
        open_study(on_server, "f", storage, join=False)
    check_name(on_server.model_copy(update={"trials": 9}), "f", join=True)
    with pytest.raises(UserError, match=r"seed: the study .* was begun with 0, so it cannot become 1"):
        check_name(on_server.model_copy(update={"seed": 1}), "f", join=True)
    with pytest.raises(UserError, match="is not what the study"):
        check_name(on_server, "another dataset", join=True)
    with pytest.raises(UserError, match="--join: needs the key storage"):
        check_name(sweep(tmp_path / "sqlite"), "f", join=True)


def test_join_on_the_command_line_is_refused_in_one_line_before_anything_is_written(
    on_server: SweepConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(dump_sweep(on_server))
    storage = f"storage=postgresql://{USER}:{PASSWORD}@{_host(on_server)}/postgres"

    def refused(*arguments: str) -> str:
        assert main(["run", str(file), *arguments]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and PASSWORD not in said.err
        assert not Path(on_server.experiment).exists()
        return said.err

    assert "--join: this storage holds no study" in refused("--join", "--set", storage)
    with opened_storage(tmp_path, on_server.storage) as there:
        open_study(on_server, FINGERPRINT, there, join=False)
    assert "exists in this storage; give the sweep another `name`" in refused("--set", storage)
    assert "seed: the study" in refused("--join", "--set", storage, "--set", "seed=8")
    assert "--join: needs the key storage" in refused("--join", "--set", "storage=null")
    assert "; the password is in no file of the sweep's: set PGPASSWORD, or add it to ~/.pgpass" in refused("--join")


def test_drivers_beside_each_other_share_trials_rungs_and_nothing_else(on_server: SweepConfig, tmp_path: Path) -> None:
    config = on_server.model_copy(update={"trials": 4})
    with opened_storage(tmp_path, config.storage) as mine, opened_storage(tmp_path, config.storage) as theirs:
        first = open_study(config, "f", mine, join=False)
        second = open_study(config, "f", theirs, join=True)
        games = [PlayedSweep(config, study=first), PlayedSweep(config, study=second)]
        for game, name in zip(games, ("one", "two"), strict=True):
            game.searcher._plan = Plan(config, 1, name)
        turns = [game._trial(index) for index in range(2) for game in games]
        while turns:  # Epoch by epoch in turn, as beside each other.
            turns = [trial for trial in turns if next(trial, "ended") is None]
        trials = first.get_trials()
        assert [trial.number for trial in trials] == [0, 1, 2, 3]
        assert len({str(trial.params) for trial in trials}) == 4
        assert [trial.user_attrs[DRIVER] for trial in trials] == ["one", "two", "one", "two"]
        rule = make_rule(config.early_stopping, config.max_epochs, config.mode, config.seed)
        RuleReplay(second, rule).replay()
        assert isinstance(rule, HalvingRule) and set(rule.results[0, 1]) == {0, 1, 2, 3}


def test_a_driver_takes_up_its_own_trials_and_leaves_those_of_others(on_server: SweepConfig, tmp_path: Path) -> None:
    with opened_storage(tmp_path, on_server.storage) as storage:
        study = open_study(on_server, "f", storage, join=False)
        for name in ("one", "two"):
            searcher = PlayedSweep(on_server, study=study).searcher
            searcher._resumed, searcher._plan = [], Plan(on_server, 1, name)
            searcher.suggest(name)
        assert [trial.number for trial in open_trials(study, "two")] == [1]
        assert [trial.number for trial in open_trials(study)] == [0, 1]


def test_a_dashboard_reads_while_drivers_write(on_server: SweepConfig, database: str, tmp_path: Path) -> None:
    reader = "import sys, optuna; " + (
        "print(len(optuna.load_study(study_name=sys.argv[1], storage=sys.argv[2]).get_trials()))"
    )
    with opened_storage(tmp_path, on_server.storage) as storage:
        game = PlayedSweep(on_server, storage=storage)
        trial = game._trial(0)
        next(trial)
        address = database.replace("postgresql://", "postgresql+psycopg://")
        command = [sys.executable, "-c", reader, on_server.name, address]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "1\n"
        next(trial)


def test_a_server_that_is_not_there_or_refuses_is_one_line_without_the_password(database: str, tmp_path: Path) -> None:
    wrong = parse_url(database.replace(PASSWORD, "other-w0rd"))
    with pytest.raises(UserError) as refused:
        open_storage(tmp_path, wrong)
    with pytest.raises(UserError) as absent:
        open_storage(tmp_path, parse_url("postgresql://me:other-w0rd@127.0.0.1:1/s"))
    for caught in (refused, absent):
        text = str(caught.value)
        assert text.startswith("storage: postgresql://") and "\n" not in text and "other-w0rd" not in text


def test_no_password_is_in_anything_that_is_written(on_server: SweepConfig, tmp_path: Path) -> None:
    folder = Path(on_server.experiment)
    folder.mkdir()
    write_sweep(on_server, folder)
    add_session(folder, {}, [f"storage=postgresql://{USER}:{PASSWORD}@h/s"])
    with opened_storage(folder, on_server.storage) as storage:
        study = create_study(on_server.name, on_server.mode, storage)
        searcher = StudySearch(Plan(on_server, 1), PlayedSweep(sweep(tmp_path / "other")).sweep_state, study)
        # As Ray pickles the searcher, with its study and its storage, into the experiment's folder.
        (folder / "tuner.pkl").write_bytes(ray.cloudpickle.dumps([searcher, on_server]))
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) >= 3
    assert not [file for file in written if PASSWORD.encode() in file.read_bytes()]
    assert PASSWORD not in repr(on_server) + dump_sweep(on_server)
    assert sweep_config({**on_server.model_dump(), "trials": 2}).storage == on_server.storage
    again = read_resumed(folder, [f"storage=postgresql://{USER}:{PASSWORD}@{_host(on_server)}/postgres"])
    assert again.storage is not None and again.storage.password == PASSWORD
    with pytest.raises(UserError, match="the study stays where it is"):
        read_resumed(folder, ["storage=postgresql://elsewhere/s"])


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # The study is made as users make one.
def test_a_warm_start_from_the_server_keeps_its_password_out_of_all_that_is_written(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = database.replace("postgresql://", "postgresql+psycopg://")
    plain_study(address, "anybodys").set_metric_names(["val_macro_f1"])
    given = {"storage": database, "study": "anybodys"}
    config = sweep(tmp_path, warm_start=[given], space=NARROW)
    folder = Path(config.experiment)
    folder.mkdir()
    gathered = gather(config, FINGERPRINT)
    assert gathered["sources"][0]["taken"] == 4
    assert describe(gathered["sources"][0]).endswith("warning: it differs in momentum")
    write_json(gathered, folder / "warm_start.json")
    write_sweep(config, folder)
    monkeypatch.setattr("sys.argv", ["search", "run", "--set", f"warm_start=[{{storage: {database}, study: x}}]"])
    write_json(provenance(0, "d", FINGERPRINT), folder / "provenance.json")
    (folder / "tuner.pkl").write_bytes(ray.cloudpickle.dumps(config))
    written = [file for file in folder.iterdir() if file.is_file()]
    assert len(written) == 4 and not [file for file in written if PASSWORD.encode() in file.read_bytes()]
    assert read_resumed(folder, []).warm_start == config.warm_start
    with pytest.raises(UserError, match=r"storage: postgresql://.* cannot be used: .*; the password is in no file"):
        gather(read_resumed(folder, []), FINGERPRINT)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert gather(read_resumed(folder, []), FINGERPRINT) == gathered


def test_reading_leaves_a_database_without_a_study_without_tables(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE DATABASE others")
    there = parse_url(database.replace("/postgres", "/others"))
    with pytest.raises(UserError, match="it holds no tables of Optuna's"):
        read_study(there, "x")
    with psycopg.connect(database.replace("/postgres", "/others")) as connection:
        count = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert count == (0,)


def test_a_connection_that_was_cut_is_made_anew(on_server: SweepConfig, database: str, tmp_path: Path) -> None:
    with opened_storage(tmp_path, on_server.storage) as storage:
        study = create_study(on_server.name, on_server.mode, storage)
        with psycopg.connect(database, autocommit=True) as connection:
            mine = "pid <> pg_backend_pid() AND usename IS NOT NULL AND backend_type = 'client backend'"
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
        study.add_trial(optuna.trial.create_trial(value=1.0, state=TrialState.COMPLETE))
        assert len(study.get_trials()) == 1


def _host(config: SweepConfig) -> Any:
    assert config.storage is not None
    return config.storage.shown.partition("@")[2].partition("/")[0]


# SQLite


def test_readers_do_not_wait_for_the_sweep(tmp_path: Path) -> None:
    create_study("s", "max", open_storage(tmp_path)).ask()
    writer = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    writer.execute("BEGIN IMMEDIATE")
    reader = sqlite3.connect(tmp_path / "study.db", timeout=0)
    assert reader.execute("SELECT count(*) FROM trials").fetchone() == (1,)
    writer.execute("ROLLBACK")
    writer.close()
    reader.close()


def test_the_database_of_a_sweep_that_ended_is_one_plain_file(tmp_path: Path) -> None:
    with opened_storage(tmp_path) as storage:
        create_study("s", "max", storage).ask()
        assert (tmp_path / "study.db-wal").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    with sqlite3.connect(tmp_path / "study.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_reader_does_not_keep_the_sweep_from_ending(tmp_path: Path) -> None:
    with opened_storage(tmp_path) as storage:
        create_study("s", "max", storage).ask()
        reader = sqlite3.connect(tmp_path / "study.db")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM trials").fetchall()
    assert len(reader.execute("SELECT * FROM trials").fetchall()) == 1
    reader.close()


def test_a_write_waits_longer_for_another_program_than_a_backup_takes(tmp_path: Path) -> None:
    with opened_storage(tmp_path) as storage, storage.engine.connect() as connection:
        (waits,) = connection.exec_driver_sql("PRAGMA busy_timeout").one()
    assert waits == 20_000, "milliseconds"


def test_a_study_that_stays_locked_is_said_to_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PATIENT["connect_args"], "timeout", 0.05)
    locked = f"{tmp_path / 'study.db'} is locked by another program, and was for over 20 s; close what has it open"
    with opened_storage(tmp_path) as storage:
        create_study("s", "max", storage)
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as other:
        with pytest.raises(UserError, match=locked), opened_storage(tmp_path) as storage:
            study = load_study("s", storage)
            assert study is not None
            trial = study.ask()
            other.execute("BEGIN IMMEDIATE")
            trial.report(0.5, 1)
        other.execute("ROLLBACK")
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("search.study.storage.LOCK_SECONDS", 0.05)
        for opening in (open_for_reading(tmp_path / "study.db"), opened_storage(tmp_path)):
            with pytest.raises(UserError, match=locked), opening as storage:
                load_study("s", storage)


def test_a_storage_without_the_study_says_so(tmp_path: Path) -> None:
    assert load_study("s", open_storage(tmp_path)) is None


def test_a_server_that_is_restarted_is_waited_for(
    on_server: SweepConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, failures = on_server.storage, [2]
    assert url is not None
    with opened_storage(tmp_path, url) as storage:
        study = create_study(on_server.name, "max", storage)
        connect, execute = psycopg.connect, psycopg.Cursor.execute

        def away(*given: Any, **named: Any) -> Any:
            if failures[0] > 0:
                failures[0] -= 1
                raise psycopg.errors.AdminShutdown("terminating connection due to administrator command")
            return execute(*given, **named)

        monkeypatch.setattr(psycopg.Cursor, "execute", away)
        study.set_user_attr("after", "the restart")
        assert failures == [0] and connect is psycopg.connect
        assert study.user_attrs["after"] == "the restart"
    said = capsys.readouterr().err
    assert said.count("warning: storage: ") == 1 and "tried again for 60 s" in said and PASSWORD not in said
    monkeypatch.setattr(storage_module, "PATIENCE_SECONDS", 0.1)
    with opened_storage(tmp_path, url) as storage, pytest.raises(optuna.exceptions.StorageInternalError) as raised:
        failures[0] = 10**9
        storage.set_study_user_attr(storage.get_study_id_from_name(on_server.name), "x", 1)
    failures[0] = 0
    assert isinstance(root_cause(raised.value), psycopg.OperationalError)


def test_copies_of_an_experiment_have_one_driver(on_server: SweepConfig) -> None:
    url = on_server.storage
    with sole_driver(url, "abc"):
        with pytest.raises(UserError, match="another process drives this experiment, from this folder or a copy of it"):
            sole_driver(url, "abc").__enter__()
        with sole_driver(url, "other"):
            pass
    with sole_driver(url, "abc"):
        pass
    with sole_driver(None, "abc"), sole_driver(None, "abc"):
        pass
