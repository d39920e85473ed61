"""Runs of MLflow, with a client that writes down what it is told: MLflow's own server wants an older pyarrow."""

from types import SimpleNamespace

import pytest

from analysis.__main__ import main
from analysis.data import mlflow_runs
from analysis.data.experiment import read
from trainables.errors import UserError


class Client:
    """The calls of MlflowClient that are used, and nothing else; parameters may not change, as in MLflow."""

    def __init__(self, tracking_uri):
        if tracking_uri == "http://nowhere":
            raise ConnectionError("no\nanswer")
        self.runs = STORE

    def get_experiment_by_name(self, name):
        return (
            SimpleNamespace(experiment_id=name)
            if any(run["experiment"] == name for run in self.runs.values())
            else None
        )

    def create_experiment(self, name, tags):
        return name

    def search_runs(self, experiment_ids, filter_string):
        key = filter_string.split("= ")[1].strip("'")
        return [
            SimpleNamespace(
                data=SimpleNamespace(tags=run["tags"]), info=SimpleNamespace(run_id=number, status=run["status"])
            )
            for number, run in self.runs.items()
            if run["experiment"] in experiment_ids and run["tags"]["raretune.key"] == key
        ]

    def delete_run(self, number):
        del self.runs[number]

    def create_run(self, experiment_id, start_time, tags, run_name):
        assert all(isinstance(value, str) for value in tags.values())
        run = {"experiment": experiment_id, "name": run_name, "tags": tags, "status": "RUNNING", "start": start_time,
               "params": {}, "metrics": [], "artifacts": []}  # fmt: skip
        self.runs[f"r{len(self.runs)}-{run_name}"] = run
        return SimpleNamespace(info=SimpleNamespace(run_id=f"r{len(self.runs) - 1}-{run_name}"))

    def log_batch(self, number, metrics=(), params=()):
        assert len(metrics) <= 1000 and len(params) <= 100
        self.runs[number]["metrics"] += metrics
        for name, value in params:
            assert self.runs[number]["params"].setdefault(name, value) == value

    def log_artifact(self, number, file):
        self.runs[number]["artifacts"].append(file.rsplit("/", 1)[1])

    def log_artifacts(self, number, folder, where):
        self.runs[number]["artifacts"].append(where)

    def set_terminated(self, number, status, end_time=None):
        self.runs[number] |= {"status": status, "end": end_time}


STORE: dict[str, dict] = {}


@pytest.fixture(autouse=True)
def server(monkeypatch):
    STORE.clear()
    entities = SimpleNamespace(Metric=lambda *parts: parts, Param=lambda *parts: parts)
    monkeypatch.setattr(mlflow_runs, "needed", lambda: SimpleNamespace(MlflowClient=Client, entities=entities))
    return STORE


def test_every_trial_is_a_run_with_what_the_study_says_of_it(example, server):
    experiment = read(example.experiment)
    counts = mlflow_runs.export_runs(experiment, "http://here")
    assert counts == {"written": len(experiment.trials) + 1, "kept": 0}
    runs = {run["name"]: run for run in server.values()}
    metric = experiment.sweep["metric"]
    for trial in experiment.trials:
        run = runs[f"trial {trial.number:04d}"]
        assert run["status"] == mlflow_runs.STATUS.get(trial.state, "RUNNING")
        assert run["tags"]["raretune.state"] == trial.state
        assert run["params"].items() >= {name: str(value) for name, value in trial.config.items()}.items()
        logged = {step: value for name, value, _, step in run["metrics"] if name == metric}
        assert logged == pytest.approx({epoch: value for epoch, value in trial.values.items() if value == value})
        if trial.value is not None:
            assert [value for name, value, _, _ in run["metrics"] if name == "objective"] == [trial.value]
    stopped = [run for run in runs.values() if run["tags"]["raretune.state"] == "PRUNED"]
    assert stopped and all(run["status"] == "KILLED" and run["tags"]["raretune.stop_reason"] for run in stopped)
    final = runs["final"]
    names = {name for name, *_ in final["metrics"]}
    assert any(name.endswith(".test.macro_f1") for name in names) and "metrics.json" in final["artifacts"]


def test_a_second_export_keeps_what_has_ended(example, server):
    experiment = read(example.experiment)
    first = mlflow_runs.export_runs(experiment, "http://here")
    running = sum(run["status"] == "RUNNING" for run in server.values())
    again = mlflow_runs.export_runs(experiment, "http://here")
    assert again == {"written": running, "kept": first["written"] - running}
    assert len(server) == first["written"]


@pytest.mark.usefixtures("without_drawing")
def test_the_command_writes_the_report_too(copied, server, capsys):
    assert main(["export", str(copied), "--mlflow", "http://here"]) == 0
    assert "runs written to http://here, 0 were there" in capsys.readouterr().out
    assert "report" in next(run for run in server.values() if run["name"] == "final")["artifacts"]
    assert (copied / "report" / "index.html").is_file()


def test_a_server_that_does_not_answer_is_one_line(example):
    with pytest.raises(UserError, match=r"the runs cannot be written to http://nowhere: .*no answer"):
        mlflow_runs.export_runs(read(example.experiment), "http://nowhere")


def test_without_mlflow_the_line_says_what_to_install(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-mlflow\.txt"):
        mlflow_runs.needed()
