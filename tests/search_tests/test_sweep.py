"""search/sweep.py: whole sweeps through the real Ray Tune."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from search.__main__ import main
from search.config.file import read_sweep
from search.config.schema import SweepConfig
from search.records import Experiment, read_experiment
from search.resume import resume_sweep
from search.sweep import allocate, check_empty, run_sweep
from search.tune.resources import Node, Share
from tests.checkout import ROOT
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import SyntheticTrial, model_mb, with_faults
from tests.search_tests.synthetic_probe import FakeProber
from trainables.data.dataset import MANIFEST, Dataset, open_dataset
from trainables.errors import UserError
from trainables.handoff import read_handoff
from trainables.trial import _may_use_gpu

SHORT = {"epochs": 4, "image_size": 75, "weights": "random"}


def test_a_sweep_with_early_stopping_ends_with_all_its_records(ray_here: None, tmp_path: Path) -> None:
    resources = {"concurrent_trials": 2, "threads_per_trial": 1, "gpus_per_trial": 0}
    config = sweep(tmp_path, trials=10, seed=7, resources=resources)
    best = run_sweep(config, SyntheticTrial)
    experiment = read_experiment(config.experiment)
    assert experiment.best == best
    assert {trial.state for trial in experiment.trials} == {"COMPLETE", "PRUNED"}
    assert best.score == max(trial.value or 0.0 for trial in experiment.trials)
    for trial in experiment.trials:
        assert list(trial.values) == [epoch["epoch"] for epoch in trial.epochs]
        assert trial.stop is not None
        assert (
            trial.epochs[-1]["stop_kind"] == trial.stop["kind"] == ("asha" if trial.state == "PRUNED" else "max_epochs")
        )
    assert experiment.summary is not None
    assert experiment.summary["epochs_run"] == sum(len(trial.epochs) for trial in experiment.trials) < 90
    assert read_sweep(Path(config.experiment) / "sweep.yaml") == config
    runs = sorted(path.name for path in (Path(config.experiment) / "tensorboard").iterdir())
    assert runs == [f"trial_{number:04d}" for number in range(10)]


def test_a_sweep_with_two_objectives_hands_over_its_front_and_goes_on_when_resumed(
    ray_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}, "dense_units": [16, 256]}
    stop, objectives = {"min_results": 1}, ["val_macro_f1", "model_mb"]
    config = sweep(tmp_path, trials=6, seed=2, space=space, objectives=objectives, early_stopping=stop, trial=SHORT)
    run_sweep(config, SyntheticTrial)
    first = read_experiment(config.experiment)
    best, went_on = resume_sweep(Path(config.experiment), ["trials=9"], SyntheticTrial)
    experiment = read_experiment(config.experiment)
    assert went_on and len(experiment.trials) == 9 and experiment.trials[:6] == first.trials
    assert experiment.front[0] == best.trial and len(experiment.front) == 2, "the best of each size"
    assert {trial.cost for trial in experiment.trials} == {model_mb({"dense_units": units}) for units in (16, 256)}
    assert all(epoch["model_mb"] == trial.cost for trial in experiment.trials for epoch in trial.epochs)
    for number in experiment.front:
        assert read_handoff(experiment.front_file(number)).config.model_dump() == experiment.trials[number].config
    assert len(list((experiment.folder / "pareto").iterdir())) == 2
    capsys.readouterr()
    assert main(["resume", config.experiment]) == 0
    said = capsys.readouterr().out
    assert "front        2 of the trials: no other is better and costs no more" in said
    assert str(experiment.front_file(experiment.front[1])) in said


def test_a_trial_that_ran_out_of_memory_is_queued_again_with_fewer_neighbours(ray_here: None, tmp_path: Path) -> None:
    resources = {"threads_per_trial": 1, "gpus_per_trial": 0.5, "concurrent_trials": 2}
    config = sweep(tmp_path, trials=3, resources=resources, trial={"epochs": 2}, early_stopping={"kind": "none"})
    run_sweep(config, with_faults({0: {"needs_gpu": 1.0}, 1: {"needs_gpu": 2.0}}))
    trials = read_experiment(config.experiment).trials
    assert [trial.state for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert sorted(trials[0].values) == [1, 2]
    assert trials[1].stop is not None
    assert trials[1].stop["reason"] == "out of memory on GPU: failed to allocate 1 GiB"
    assert (Path(config.experiment) / "trials" / "0000" / "error.txt").exists()


def test_every_way_to_go_wrong_fails_one_trial_and_not_the_sweep(faulty: Experiment) -> None:
    reported = [(trial.state, (trial.stop or {})["kind"], (trial.stop or {})["reason"]) for trial in faulty.trials]
    assert reported[0] == reported[2] == reported[7] == ("COMPLETE", "max_epochs", "ran all 4 epochs")
    assert reported[1] == ("DIVERGED", "diverged", "val_macro_f1 was nan at epoch 2")
    assert reported[3] == ("FAIL", "failed", "out of memory at batch 3")
    assert reported[4] == ("DIVERGED", "diverged", "the loss was not finite at epoch 2")
    assert reported[5][:2] == ("FAIL", "failed") and reported[5][2].startswith(
        "its worker was lost 2 times (SYSTEM_ERROR)"
    )
    assert reported[6] == ("FAIL", "failed", "RuntimeError: the weights are damaged")
    assert faulty.summary is not None and faulty.summary["trials"] == {"COMPLETE": 3, "FAIL": 3, "DIVERGED": 2}
    assert [faulty.trials[number].epochs[-1]["stop_kind"] for number in (1, 4)] == ["diverged"] * 2
    assert "_fail_if_asked" in (faulty.folder / "trials" / "0003" / "error.txt").read_text()


def test_a_trial_whose_worker_was_lost_goes_on_as_the_same_trial(faulty: Experiment) -> None:
    trial = faulty.trials[2]
    assert (Path(faulty.folder) / "trials" / "0002" / "killed").exists()
    assert sorted(trial.values) == [1, 2, 3, 4]
    assert [epoch["epoch"] for epoch in trial.epochs] == [1, 2, 3, 4]


def test_a_metric_that_the_trainable_does_not_report_stops_the_sweep_before_the_second_trial(
    ray_here: None, tmp_path: Path
) -> None:
    config = sweep(tmp_path, metric="val_cross_entropy")
    with pytest.raises(UserError, match=r"^the trial's result has no 'val_cross_entropy', so it cannot be searched by"):
        run_sweep(config, with_faults({}, drop=("val_cross_entropy",)))
    trials = read_experiment(config.experiment).trials
    assert [(trial.number, trial.state) for trial in trials] == [(0, "FAIL")]
    assert not (Path(config.experiment) / "best.json").exists()


def test_a_sweep_without_a_single_result_says_why_its_first_trial_failed(ray_here: None, tmp_path: Path) -> None:
    config = sweep(tmp_path, trials=2)
    with pytest.raises(
        UserError, match=r"^no trial has a result \(2 began\); trial 0: out of memory at batch 3 \(more in"
    ):
        run_sweep(config, with_faults({0: {"raise": 1}, 1: {"raise": 1}}))


def test_what_would_fail_every_trial_ends_the_sweep_with_the_workers_own_line(ray_here: None, tmp_path: Path) -> None:
    config = sweep(tmp_path)
    with pytest.raises(UserError, match=r"^weights: w\.h5 does not fit inception_v3$"):
        run_sweep(config, with_faults({0: {"hopeless": True}}))
    assert [trial.state for trial in read_experiment(config.experiment).trials] == ["FAIL"]


def test_two_trials_that_fail_alike_outside_their_configurations_end_the_sweep_and_cost_no_trial(
    ray_here: None, tmp_path: Path
) -> None:
    config = sweep(tmp_path, trials=5)
    full = {number: {"disk_full": True} for number in range(5)}
    with pytest.raises(UserError, match=r"not in their configurations: OSError: .*No space left .*goes on$"):
        run_sweep(config, with_faults(full))
    failed = read_experiment(config.experiment).trials
    assert 2 <= len(failed) < 5 and {trial.state for trial in failed} == {"RUNNING"}
    resume_sweep(Path(config.experiment), trainable=SyntheticTrial)
    trials = read_experiment(config.experiment).trials
    assert len(trials) == 5 and {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert [trial.params for trial in trials[: len(failed)]] == [trial.params for trial in failed]


def test_one_trial_that_fails_on_a_full_disk_is_failed_once_another_has_a_result(
    ray_here: None, tmp_path: Path
) -> None:
    config = sweep(tmp_path, trials=4)
    run_sweep(config, with_faults({0: {"disk_full": True}, 3: {"disk_full": True}}))
    trials = read_experiment(config.experiment).trials
    assert [trial.state == "FAIL" for trial in trials] == [True, False, False, True]
    assert trials[0].stop is not None and "No space left on device" in trials[0].stop["reason"]


def test_trials_share_a_gpu_by_fractions(ray_here: None, tmp_path: Path) -> None:
    class Device(SyntheticTrial):
        def step(self) -> dict[str, object]:
            (tmp_path / f"began{self._settings['run'].trial}").touch()
            deadline = time.monotonic() + 60
            while len(list(tmp_path.glob("began*"))) < 2:  # However long the other's worker takes to start.
                if time.monotonic() > deadline:
                    raise RuntimeError("no other trial ran beside this one")
                time.sleep(0.05)
            return {**super().step(), "device": f"GPU {os.environ['CUDA_VISIBLE_DEVICES']}"}

    resources = {"concurrent_trials": "auto", "threads_per_trial": 1, "gpus_per_trial": 0.5}
    config = sweep(tmp_path, trials=2, trial={"epochs": 4}, resources=resources, early_stopping={"kind": "none"})
    run_sweep(config, Device)
    first, second = read_experiment(config.experiment).trials
    assert (first.state, second.state) == ("COMPLETE", "COMPLETE")
    assert first.device == second.device == "GPU 0"


@pytest.mark.parametrize(("gpus", "may"), [(0, False), (0.5, True)])
def test_a_trial_may_use_a_gpu_only_where_it_was_given_one(
    ray_here: None, tmp_path: Path, gpus: float, may: bool
) -> None:
    class Device(SyntheticTrial):
        def step(self) -> dict[str, object]:
            return {**super().step(), "device": str(_may_use_gpu())}

    config = sweep(tmp_path, trials=1, trial={"epochs": 1}, resources={"gpus_per_trial": gpus})
    run_sweep(config, Device)
    assert [trial.device for trial in read_experiment(config.experiment).trials] == [str(may)]


def test_a_trials_seconds_are_those_in_which_it_ran(ray_here: None, tmp_path: Path) -> None:
    """Not those in which it waited for its process to be ready, unless it reports them itself."""

    class Slow(SyntheticTrial):
        SECONDS = 0.1

        def setup(self, config: dict[str, Any]) -> None:
            time.sleep(3.0)
            super().setup(config)

        def step(self) -> dict[str, Any]:
            first = self._epoch == 0 and self._settings["run"].trial == 1
            return {**super().step(), "setup_seconds": 30.0 if first else 0.0}

    config = sweep(tmp_path, trials=3, trial={"epochs": 2}, early_stopping={"kind": "none"})
    run_sweep(config, Slow)
    trials = read_experiment(config.experiment).trials
    assert all(trial.seconds is not None for trial in trials)
    seconds = [trial.seconds or 0.0 for trial in trials]
    assert 0.2 <= seconds[0] < 3.0 and 30.2 <= seconds[1] < 33.0 and 0.2 <= seconds[2] < 3.0


def test_an_imbalance_corrected_twice_is_told_before_ray_starts_and_kept_in_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    @contextmanager
    def no_ray(address: str | None) -> Iterator[list[Node]]:
        said.append(capsys.readouterr().err)
        yield []

    def warnings(dataset: Dataset, methods: list[str]) -> list[str]:
        return [f"twice: {method}" for method in methods]

    monkeypatch.setattr("search.sweep.double_corrections_in_trials", warnings)
    monkeypatch.setattr("search.sweep.ray_session", no_ray)
    monkeypatch.setattr("search.sweep.allocate", lambda *_: (Share(concurrent=1, threads=1, gpus=0), None))
    monkeypatch.setattr("search.sweep.drive", lambda *_: None)
    config = sweep(tmp_path, space={"imbalance": ["none", "effective_number"]}, trial={})
    run_sweep(config)
    assert said == ["warning: twice: none\nwarning: twice: effective_number\n"]
    kept = json.loads((Path(config.experiment) / "provenance.json").read_text())["warnings"]
    assert kept == ["twice: none", "twice: effective_number"]


def test_a_folder_that_holds_another_run_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    folder = Path(config.experiment)
    folder.mkdir()
    (folder / "best.json").write_text("mine")
    with pytest.raises(UserError, match=r"experiment: .* holds another run; choose an empty or a new folder"):
        run_sweep(config, SyntheticTrial)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("best.json", "mine")]


def test_a_run_that_measures_while_another_one_begins_and_ends_leaves_that_ones_records_alone(
    ray_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, before = sweep(tmp_path, trials=2), {}

    def measured(*given: Any) -> tuple[Share, None]:
        monkeypatch.undo()
        run_sweep(config, SyntheticTrial)
        before.update(contents(Path(config.experiment)))
        return allocate(*given)  # type: ignore[return-value]

    def contents(folder: Path) -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    monkeypatch.setattr("search.sweep.allocate", measured)
    with pytest.raises(UserError, match=r"experiment: .* holds another run; choose an empty or a new folder"):
        run_sweep(config, SyntheticTrial)
    assert before and contents(Path(config.experiment)) == before


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"trial": {"weights": "/nowhere/w.h5"}}, "weights: there is no file '/nowhere/w.h5'"),
        ({"space": {"weights": ["random", "/nowhere/w.h5"]}, "trial": {}}, "weights: there is no file '/nowhere/w.h5'"),
        ({"sampler": "grid"}, "space.learning_rate: the grid sampler needs `points`"),
        ({"dataset": "/nowhere"}, "/nowhere is not a folder"),
    ],
)
def test_what_would_fail_later_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, object], line: str
) -> None:
    config = sweep(tmp_path, **changes)
    with pytest.raises(UserError) as caught:
        run_sweep(config, SyntheticTrial)
    assert str(caught.value).startswith(line)
    assert not Path(config.experiment).exists()


def test_a_dataset_without_its_marker_is_refused(tmp_path: Path) -> None:
    config = sweep(tmp_path)
    (Path(config.dataset) / MANIFEST).unlink()
    with pytest.raises(UserError, match="manifest"):
        run_sweep(config, SyntheticTrial)
    assert not Path(config.experiment).exists()


def test_the_same_seed_gives_the_same_sweep_through_ray_too(ray_here: None, tmp_path: Path) -> None:
    records = []
    for name in ("first", "second"):
        config = sweep(tmp_path / name, trials=6, seed=11, trial={"epochs": 4})
        run_sweep(config, SyntheticTrial)
        records.append(read_experiment(config.experiment).trials)
    assert [(trial.params, trial.values, trial.stop) for trial in records[0]] == [
        (trial.params, trial.values, trial.stop) for trial in records[1]
    ]


def test_a_spent_budget_ends_the_sweep_with_the_best_so_far_handed_over(ray_here: None, tmp_path: Path) -> None:
    config = sweep(tmp_path, trials=50, trial={"epochs": 9}, budget={"epochs": 13}, early_stopping={"kind": "none"})
    best = run_sweep(config, with_faults({}, seconds=0.05))
    experiment = read_experiment(config.experiment)
    assert experiment.summary is not None
    assert experiment.summary["ended_because"].startswith("budget: 1")
    assert 13 <= experiment.summary["epochs_run"] <= 14
    first, second = experiment.trials
    assert (first.state, second.state) == ("COMPLETE", "PRUNED")
    assert second.stop is not None and second.stop["kind"] == "budget"
    assert best.score == max(first.value or 0.0, second.value or 0.0)


def test_a_sweep_prints_which_of_the_portfolio_it_tries_first(
    ray_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sweep(tmp_path, trials=1, trial=SHORT, points="auto")
    run_sweep(config, SyntheticTrial)
    first = config.first_points[0]
    assert read_experiment(config.experiment).trials[0].params == first
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("tried first")]
    assert said == [f"tried first  {', '.join(f'{name} {value}' for name, value in first.items())}"]


def test_an_exhausted_space_ends_the_sweep_when_its_last_trial_has_ended(ray_here: None, tmp_path: Path) -> None:
    resources = {"concurrent_trials": 2, "threads_per_trial": 1, "gpus_per_trial": 0}
    space = {"unfrozen_layers": [31, 40], "dense_units": [128, 256]}
    config = sweep(tmp_path, trials=9, trial={"epochs": 2}, space=space, resources=resources)
    run_sweep(config, SyntheticTrial)
    experiment = read_experiment(config.experiment)
    assert [trial.state for trial in experiment.trials] == ["COMPLETE"] * 2
    assert experiment.summary is not None and experiment.summary["repeats"] > 0
    assert experiment.summary["ended_because"].startswith("the space is exhausted: all of its 2 different")


def test_workers_stay_warm_from_trial_to_trial(ray_here: None, tmp_path: Path) -> None:
    class Pid(SyntheticTrial):
        def step(self) -> dict[str, object]:
            return {**super().step(), "device": str(os.getpid())}

    config = sweep(tmp_path, trials=4, trial={"epochs": 2})
    run_sweep(config, Pid)
    assert len({trial.device for trial in read_experiment(config.experiment).trials}) == 1


def test_ctrl_c_once_ends_the_sweep_with_the_best_so_far_handed_over(tmp_path: Path) -> None:
    config = sweep(tmp_path, trials=50, trial={"epochs": 9})
    log = (tmp_path / "log").open("w")
    command = [sys.executable, "-m", "tests.search_tests.slow_sweep", str(tmp_path)]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for_epochs(config, 3)
        # To the whole group, as a terminal sends it: Ray's own processes must not mind.
        os.killpg(driver.pid, signal.SIGINT)
        assert driver.wait(120) == 0, (tmp_path / "log").read_text()
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
    experiment = read_experiment(config.experiment)
    assert experiment.best is not None and experiment.summary is not None
    assert experiment.summary["ended_because"] == "stopped by Ctrl-C"
    assert experiment.best.score == max(trial.value or 0.0 for trial in experiment.trials)
    last = experiment.trials[-1]
    assert last.state == "PRUNED" and last.stop is not None
    assert last.stop["kind"] == "interrupted" and last.stop["epoch"] == max(last.values)
    assert "Traceback" not in (tmp_path / "log").read_text()


def _wait_for_epochs(config: SweepConfig, wanted: int) -> None:
    file = Path(config.experiment) / "trials" / "0000" / "epochs.jsonl"
    for _ in range(1800):
        if file.exists() and len([json.loads(line) for line in file.read_text().splitlines()]) >= wanted:
            return
        time.sleep(0.1)
    pytest.fail("the sweep did not start")


def test_gpu_hours_without_a_gpu_are_refused_on_resume_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both run and resume divide the machine by `allocate`: such a budget would never end the sweep."""
    monkeypatch.setattr("search.sweep.cluster_grows", lambda: False)
    config = sweep(tmp_path, budget={"gpu_hours": 1}, resources={"concurrent_trials": 1})
    dataset = open_dataset(config.dataset)
    assert allocate(config, [Node(4, 1)], dataset, SyntheticTrial)[0].gpus == 1
    with pytest.raises(UserError, match=r"^budget\.gpu_hours: 1, but no trial of this sweep uses a GPU; use hours$"):
        allocate(config, [Node(4, 0)], dataset, SyntheticTrial)


@pytest.fixture
def with_probe(ray_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps of our own trials, which are played, and so is the probe before them."""
    monkeypatch.setattr("search.tune.probe.Prober", FakeProber)
    monkeypatch.setattr("trainables.trial.FineTuneTrial", SyntheticTrial)
    for module in ("sweep", "resume"):  # There are no photos to be measured.
        monkeypatch.setattr(f"search.{module}.allocate", lambda *_: (Share(concurrent=1, threads=1, gpus=0), None))


def test_a_sweep_begins_with_its_probe_which_stands_in_all_of_its_records(
    with_probe: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sweep(tmp_path, trials=1, trial=SHORT)
    best = run_sweep(config)
    experiment = read_experiment(config.experiment)
    assert experiment.probe is not None and experiment.probe.tried
    assert best.probe == experiment.probe.model_copy(update={"tried": ()}) and experiment.best == best
    assert experiment.summary is not None and experiment.summary["probe"]["val_macro_f1"] == 0.865
    assert sorted(path.name for path in (experiment.folder / "tensorboard").iterdir()) == ["probe", "trial_0000"]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("sweep        ")  # Before Ray starts.
    lines = [line for line in said if line.startswith("probe ")]
    assert lines[0].startswith("probe        begins: ") and lines[1].startswith("probe        logistic regression on ")
    assert "(trial 0; the probe has 0.8650)" in said[-1]
    resume_sweep(experiment.folder, ["trials=2"])
    assert "probe        " not in capsys.readouterr().out, "its record is there"
    assert main(["resume", config.experiment]) == 0
    assert "probe val_macro_f1 0.8650: the sweep does not beat it\n" in capsys.readouterr().out


def test_a_sweep_goes_on_without_a_probe_that_failed(
    with_probe: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sweep(tmp_path / "few", trials=1, trial=SHORT)
    assert run_sweep(config).probe is None
    assert "probe        none: the probe needs two families with photos; the sweep goes on" in capsys.readouterr().out
    experiment = read_experiment(config.experiment)
    assert experiment.probe is None and [trial.state for trial in experiment.trials] == ["COMPLETE"]


def test_what_the_probe_and_every_trial_would_meet_ends_the_sweep_before_its_first(
    with_probe: None, tmp_path: Path
) -> None:
    config = sweep(tmp_path / "hopeless")
    with pytest.raises(UserError, match=r"^weights: w\.h5 does not fit inception_v3$"):
        run_sweep(config)
    assert read_experiment(config.experiment).trials == ()


def test_what_a_power_cut_left_of_a_sweep_that_never_began_is_no_run(tmp_path: Path) -> None:
    for name in (".driver.json", ".driver.lock", "warm_start.json", ".sweep.yaml.elsewhere-17"):
        (tmp_path / name).touch()
    check_empty(tmp_path)
    (tmp_path / "sweep.yaml").touch()
    with pytest.raises(UserError, match="holds another run"):
        check_empty(tmp_path)
