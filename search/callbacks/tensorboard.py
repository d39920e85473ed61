"""Observer that writes a TensorBoard run per trial: HParams first, then scalars."""

import math
import time
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.summary import custom_scalars, scalar

from search.config.schema import REPORTED, better
from search.config.space import knob_value
from search.records import read_epochs
from search.study.trial_end import TrialEnd
from search.tune.observers import EpochResult, ObservedTrial, Observer
from trainables.files.experiment import EPOCHS_FILE, PROBE_FOLDER, TENSORBOARD_FOLDER, run_folder, trial_folder
from trainables.handoff import PROBE_METRICS, ProbeRecord

_SCALARS = (*REPORTED, "learning_rate")


class TensorBoardRuns(Observer):
    """One run a trial, with the contract's scalars by epoch and the best objective so far as the HParams metric.

    The stock logger writes HParams when a trial ends, with its last value: a killed driver leaves none. Here every
    run starts with the experiment and its session, naming every searched knob, and every epoch is on the disk when
    the next one starts (tensorboardX's SummaryWriter writes from a queue, which its flush does not wait for).
    """

    def __init__(
        self,
        experiment: Path,
        metric: str,
        knobs: list[str],
        cost: str | None = None,
        probe: ProbeRecord | None = None,
    ) -> None:
        """Args: `cost` is what a model costs, by its name in the results: a second metric of HParams."""
        self._experiment = experiment
        self._metric = metric
        self._costs = [cost] if cost else []
        self._knobs = knobs
        self._runs: dict[int, _Run] = {}
        self._laid_out = False
        self._probe = probe

    def opened(self) -> None:
        """Write the run `probe`: its figures at epoch 0, before any training; once."""
        folder = self._experiment / TENSORBOARD_FOLDER / PROBE_FOLDER
        if self._probe is not None and not folder.is_dir():
            run = _Run(folder)
            for name in PROBE_METRICS:
                run.add(scalar(name, self._probe.value(name)), 0)
            run.close()

    def began(self, trial: ObservedTrial) -> None:
        """Open the run and write its HParams; a trial that is tried again, or resumed, goes on in its run."""
        if trial.number in self._runs:
            return
        run = self._runs[trial.number] = _Run(run_folder(self._experiment, trial.number))
        values = {knob: knob_value(trial.config, knob) for knob in self._knobs}
        types = {knob: _data_type(value) for knob, value in values.items()}
        knobs = [HParamInfo(name=knob, type=DataType.Value(kind)) for knob, kind in types.items()]
        tags = [f"best_{self._metric}", *self._costs]
        metrics = [MetricInfo(name=MetricName(tag=tag), display_name=tag) for tag in tags]
        run.add(_hparams("experiment", experiment=Experiment(hparam_infos=knobs, metric_infos=metrics)))
        start = SessionStartInfo(group_name=f"trial {trial.number:04d}")
        for knob, kind in types.items():
            if kind == "DATA_TYPE_BOOL":
                start.hparams[knob].bool_value = values[knob]
            elif kind == "DATA_TYPE_FLOAT64":
                start.hparams[knob].number_value = values[knob]
            else:
                start.hparams[knob].string_value = str(values[knob])
        run.add(_hparams("session_start_info", session_start_info=start))
        if not self._laid_out:  # One run says for all of them how the Custom Scalars tab is laid out.
            run.add(custom_scalars(_layout(self._metric)))
            self._laid_out = True
        run.flush()

    def epoch(self, trial: ObservedTrial, result: EpochResult) -> None:
        """Write an epoch's scalars."""
        run = self._runs.get(trial.number)
        if run is None:
            return
        if result.first and run.continued:
            run.forget_from(result.epoch)
            logged = read_epochs(trial_folder(self._experiment, trial.number) / EPOCHS_FILE)
            before = [line for line in logged if line["epoch"] < result.epoch]
            run.bests = [line[self._metric] for line in before if _is_number(line.get(self._metric))]
        reported = result.reported
        values = {name: reported[name] for name in (*_SCALARS, *self._costs) if _is_number(reported.get(name))}
        if self._metric in values:
            best = (max if better(self._metric) == "max" else min)([*run.bests, values[self._metric]])
            run.bests = [best]
            values[f"best_{self._metric}"] = best
        for name, value in values.items():
            run.add(scalar(name, value), result.epoch)
        run.flush()

    def ended(self, trial: ObservedTrial, end: TrialEnd | None) -> None:
        """Close the run with how the trial ended."""
        self._close(trial.number, failed=end is not None and end.shown in ("FAIL", "DIVERGED", "INFEASIBLE"))

    def closed(self) -> None:
        """Close the runs of trials that the sweep's end has cut off."""
        for number in list(self._runs):
            self._close(number, failed=False)

    def _close(self, number: int, *, failed: bool) -> None:
        run = self._runs.pop(number, None)
        if run is not None:
            status = Status.Value("STATUS_FAILURE" if failed else "STATUS_SUCCESS")
            run.add(_hparams("session_end_info", session_end_info=SessionEndInfo(status=status)))
            run.close()


class _Run:
    """A trial's event file, written at once; `bests` holds its best objective so far, or nothing."""

    def __init__(self, folder: Path) -> None:
        self.continued = folder.is_dir()  # A driver before this one began it.
        self.bests: list[float] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._events = EventsWriter(str(folder / "events"))

    def add(self, summary: Summary, step: int | None = None) -> None:
        self._events.write_event(Event(wall_time=time.time(), step=step, summary=summary))

    def forget_from(self, step: int) -> None:
        """Have readers drop what was written of this step and later ones: they come again.

        TensorBoard without its data-server binary takes a run's first START for its beginning, so there are two.
        """
        start = SessionLog(status=SessionLog.SessionStatus.Value("START"))
        for _ in range(2):
            self._events.write_event(Event(wall_time=time.time(), step=step, session_log=start))

    def flush(self) -> None:
        self._events.flush()

    def close(self) -> None:
        self._events.close()


def _layout(metric: str) -> dict[str, dict[str, list[Any]]]:
    """The charts of the Custom Scalars tab by category, all trials in each: the objective, then what explains it.

    The final stage writes the same scalars, so that its trainings stand in the same charts.
    """
    return {
        "Which trial is best": {
            metric: _lines(metric),
            f"best {metric} so far": _lines(f"best_{metric}"),
        },
        "Do the trials learn or memorise": {
            "macro F1, training and validation": _lines("train_macro_f1", "val_macro_f1"),
            "cross-entropy, training and validation": _lines("train_cross_entropy", "val_cross_entropy"),
        },
        "How they train": {
            "validation accuracy": _lines("val_accuracy"),
            "learning rate": _lines("learning_rate"),
        },
    }


def _lines(*tags: str) -> list[Any]:
    return ["Multiline", [f"^{tag}$" for tag in tags]]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _hparams(name: str, **content: Any) -> Summary:
    """A message of the HParams plugin, such as `experiment`."""
    packed = HParamsPluginData(version=0, **content).SerializeToString()
    data = SummaryMetadata.PluginData(plugin_name="hparams", content=packed)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{name}", metadata=SummaryMetadata(plugin_data=data))])


def _data_type(value: Any) -> str:
    if isinstance(value, bool):
        return "DATA_TYPE_BOOL"
    return "DATA_TYPE_FLOAT64" if isinstance(value, int | float) else "DATA_TYPE_STRING"
