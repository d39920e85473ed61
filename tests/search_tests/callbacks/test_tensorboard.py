"""search/callbacks/tensorboard.py: what TensorBoard itself reads from the runs."""

import math
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar_metadata
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status

from search.callbacks.epoch_log import EpochLog
from search.callbacks.tensorboard import TensorBoardRuns
from search.config.schema import REPORTED
from search.study.trial_end import Stop, TrialEnd
from search.tune.observers import EpochResult, ObservedTrial
from tests.probe_example import probe_record
from tests.search_tests.event_files import EventAccumulator, read_events, steps_without_data_server
from trainables.config import TrialConfig
from trainables.files.experiment import run_folder

KNOBS = ["learning_rate", "backbone", "augmentation.rotation", "augmentation.horizontal_flip"]


def trial(number: int, **knobs: Any) -> ObservedTrial:
    return ObservedTrial(number, TrialConfig(**knobs).model_dump())


def result(epoch: int, value: float, first: bool = False, **more: Any) -> EpochResult:
    return EpochResult(epoch, value, {"epoch": epoch, "val_macro_f1": value, **more}, first)


@pytest.fixture
def runs(tmp_path: Path) -> TensorBoardRuns:
    return TensorBoardRuns(tmp_path, "val_macro_f1", KNOBS)


def read(folder: Path, number: int) -> EventAccumulator:
    return read_events(run_folder(folder, number))


def hparams(events: EventAccumulator, tag: str) -> Any:
    content = events.SummaryMetadata(tag).plugin_data.content
    parse = {
        metadata.EXPERIMENT_TAG: metadata.parse_experiment_plugin_data,
        metadata.SESSION_START_INFO_TAG: metadata.parse_session_start_info_plugin_data,
        metadata.SESSION_END_INFO_TAG: metadata.parse_session_end_info_plugin_data,
    }
    return parse[tag](content)


def test_hparams_are_there_from_the_start_of_every_trial(runs: TensorBoardRuns, tmp_path: Path) -> None:
    for number, backbone in enumerate(["inception_v3", "mobilenet_v2"]):
        runs.began(trial(number, backbone=backbone, learning_rate=0.01))
    for number, backbone in enumerate(["inception_v3", "mobilenet_v2"]):
        events = read(tmp_path, number)
        experiment = hparams(events, metadata.EXPERIMENT_TAG)
        assert [info.name for info in experiment.hparam_infos] == KNOBS
        assert [info.name.tag for info in experiment.metric_infos] == ["best_val_macro_f1"]
        start = hparams(events, metadata.SESSION_START_INFO_TAG)
        assert start.hparams["backbone"].string_value == backbone
        assert start.hparams["learning_rate"].number_value == 0.01
        assert start.hparams["augmentation.rotation"].number_value == 20.0
        assert start.hparams["augmentation.horizontal_flip"].bool_value is True


def test_the_metric_of_hparams_is_the_best_value_so_far(runs: TensorBoardRuns, tmp_path: Path) -> None:
    runs.began(trial(3))
    for epoch, value in enumerate([0.2, 0.6, math.nan, 0.4], start=1):
        runs.epoch(trial(3), result(epoch, value, train_loss=2.0, pid=4))
    events = read(tmp_path, 3)
    best = [(point.step, point.value) for point in events.Scalars("best_val_macro_f1")]
    assert best == [(1, pytest.approx(0.2)), (2, pytest.approx(0.6)), (4, pytest.approx(0.6))]
    assert [point.step for point in events.Scalars("val_macro_f1")] == [1, 2, 4]
    assert set(events.Tags()["scalars"]) == {"val_macro_f1", "train_loss", "best_val_macro_f1"}


def test_what_a_model_costs_is_the_second_metric_of_hparams(tmp_path: Path) -> None:
    runs = TensorBoardRuns(tmp_path, "val_macro_f1", KNOBS, "model_mb")
    runs.began(trial(0))
    runs.epoch(trial(0), result(1, 0.5, model_mb=88.5))
    events = read(tmp_path, 0)
    metrics = hparams(events, metadata.EXPERIMENT_TAG).metric_infos
    assert [info.name.tag for info in metrics] == ["best_val_macro_f1", "model_mb"]
    assert [point.value for point in events.Scalars("model_mb")] == [88.5]


@pytest.mark.parametrize(
    ("state", "kind", "status"),
    [
        ("COMPLETE", "max_epochs", "STATUS_SUCCESS"),
        ("PRUNED", "asha", "STATUS_SUCCESS"),
        ("PRUNED", "diverged", "STATUS_FAILURE"),
        ("FAIL", "failed", "STATUS_FAILURE"),
    ],
)
def test_the_session_ends_with_how_the_trial_ended(tmp_path: Path, state: Any, kind: str, status: str) -> None:
    runs = TensorBoardRuns(tmp_path, "val_macro_f1", KNOBS)
    runs.began(trial(0))
    runs.ended(trial(0), TrialEnd(state, Stop(kind, 1, "r"), 0.1, 1))
    end = hparams(read(tmp_path, 0), metadata.SESSION_END_INFO_TAG)
    assert Status.Name(end.status) == status
    assert runs._runs == {}


def test_a_trial_that_is_tried_again_goes_on_in_its_run(runs: TensorBoardRuns, tmp_path: Path) -> None:
    for epoch in (1, 2):
        runs.began(trial(0))
        runs.epoch(trial(0), result(epoch, 0.1))
    assert len(list(run_folder(tmp_path, 0).iterdir())) == 1
    runs.closed()
    assert [point.step for point in read(tmp_path, 0).Scalars("val_macro_f1")] == [1, 2]


def test_a_trial_resumed_by_another_driver_goes_on_where_it_repeats_the_first(tmp_path: Path) -> None:
    for resumed, epochs in ((False, (1, 2, 3)), (True, (2, 3, 4))):
        log, runs = EpochLog(tmp_path), TensorBoardRuns(tmp_path, "val_macro_f1", KNOBS)
        runs.began(trial(0))
        for epoch in epochs:
            value = 0.9 if epoch == 1 else epoch / 10
            for observer in (log, runs):
                observer.epoch(trial(0), result(epoch, value + resumed / 100, first=epoch == epochs[0]))
        runs.closed()
        if not resumed:
            (written,) = run_folder(tmp_path, 0).iterdir()  # Its name holds the second in which it was made.
            written.rename(written.with_name("events.out.tfevents.0000000000.here"))
    points = {tag: read(tmp_path, 0).Scalars(tag) for tag in ("val_macro_f1", "best_val_macro_f1")}
    values = [(point.step, point.value) for point in points["val_macro_f1"]]
    assert values == [(1, pytest.approx(0.9)), *((epoch, pytest.approx(epoch / 10 + 0.01)) for epoch in (2, 3, 4))]
    assert steps_without_data_server(run_folder(tmp_path, 0), "val_macro_f1") == values
    assert [point.value for point in points["best_val_macro_f1"]] == pytest.approx([0.9] * 4)


def test_one_run_lays_out_the_custom_scalars_of_all(runs: TensorBoardRuns, tmp_path: Path) -> None:
    for number in (0, 1):
        runs.began(trial(number))
    tag = custom_scalar_metadata.CONFIG_SUMMARY_TAG
    assert tag not in read(tmp_path, 1).Tags()["tensors"]
    (written,) = read(tmp_path, 0).Tensors(tag)
    layout = layout_pb2.Layout.FromString(written.tensor_proto.string_val[0])
    charts = [chart for category in layout.category for chart in category.chart]
    assert charts[0].title == "val_macro_f1"  # The objective comes first.
    shown = {tag.strip("^$") for chart in charts for tag in chart.multiline.tag}
    reported = {*REPORTED, "learning_rate", "best_val_macro_f1"}
    assert shown <= reported and {"train_macro_f1", "val_macro_f1", "best_val_macro_f1"} <= shown


def test_runs_sort_as_trials_do(runs: TensorBoardRuns, tmp_path: Path) -> None:
    """TensorBoard sorts names as text."""
    for number in (2, 10):
        runs.began(trial(number))
    names = [hparams(read(tmp_path, number), metadata.SESSION_START_INFO_TAG).group_name for number in (2, 10)]
    assert names == sorted(names) == ["trial 0002", "trial 0010"]


def test_the_probe_is_a_run_of_one_point_that_a_resumed_sweep_does_not_write_again(tmp_path: Path) -> None:
    for _ in range(2):
        TensorBoardRuns(tmp_path, "val_macro_f1", KNOBS, probe=probe_record()).opened()
    events = read_events(tmp_path / "tensorboard" / "probe")
    points = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert points == {
        "val_macro_f1": [(0, pytest.approx(0.865))],
        "val_accuracy": [(0, pytest.approx(0.88))],
        "val_cross_entropy": [(0, pytest.approx(0.41))],
    }
