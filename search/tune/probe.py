"""The probe before the first trial: found on a worker, kept in the experiment and in the study."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import ray
from ray.exceptions import RayError

from search.config.schema import SweepConfig
from search.config.space import Choices, Range, assemble
from search.config.trial_plan import Plan, sweep_wide
from search.tune.failure import describe
from search.tune.resources import Node, Share
from search.tune.session import nodes_of_trials
from trainables.config import RunSettings, TrialConfig
from trainables.data.folds import PARTED, as_they_are
from trainables.errors import TrialFailed, UserError
from trainables.files.experiment import PROBE_FILE, PROBE_FOLDER, SOLUTION_FILE
from trainables.files.output import whole_or_nothing, write_json
from trainables.files.record import read_record
from trainables.handoff import ProbeRecord

PROBE = "probe"  # The study's user attribute.
PATIENCE_SECONDS = 60.0
"""How long to wait for an idle node: on a shared cluster there may be none for hours."""

# What changes the features or the classifier, where a sweep searches it. All other knobs are of training.
_MATTERS = ("backbone", "weights", "image_size", "imbalance", "precision", "store_dtype")


class Prober:
    """What a worker does, in a process of its own that ends with it: TensorFlow keeps the memory that it once had."""

    def __init__(self, config: TrialConfig, run: RunSettings) -> None:
        self._config = config
        self._run = run
        self._worker: Any = None

    def weights(self) -> dict[str, Any]:
        """Open the dataset as a trial does, and return which weights the backbone starts from."""
        from trainables.trial import memory_errors, warm_worker

        self._worker = warm_worker(self._run)
        with memory_errors():
            return asdict(self._worker.weights(self._config))

    def find(self) -> tuple[ProbeRecord, Any]:
        """Return the probe's record, and its `Solution`.

        Raises:
            UserError: what every trial would meet as well: the weights do not fit, the photos find no room.
            TrialFailed: what concerns the probe alone.
        """
        from trainables.probe.probe import find_probe, judged_as_trials
        from trainables.trial import memory_errors

        worker, config = self._worker, self._config
        with memory_errors():
            worker.base(config)
            for split in PARTED:
                worker.photos(split, config.image_size)
            worker.fill(as_they_are(config), config, self._run.plan)
            stored = asdict(worker.store_use.take())
            try:
                found = find_probe(worker, config)
                figures = judged_as_trials(worker, config, found)._asdict()
            except UserError as error:
                raise TrialFailed(str(error)) from error
        record = ProbeRecord(
            classifier=found.classifier,
            depths=tuple(found.solution.depths),
            strength=found.strength,
            class_weight=found.class_weight,
            **{f"val_{name}": figures[name] for name in ("macro_f1", "accuracy", "cross_entropy")},
            config=config,
            weights=asdict(worker.weights(config)),
            dataset_fingerprint=worker.dataset.fingerprint,
            seconds=round(found.seconds + stored["fill_seconds"], 1),
            stored={name: stored[name] for name in ("filled", "filled_bytes", "fill_seconds")},
            tried=tuple(row._asdict() for row in found.tried),
        )
        return record, found.solution


def probed(plan: Plan, part: Share, study: optuna.Study) -> ProbeRecord | None:
    """Return the sweep's probe, found now unless an earlier driver of the experiment or of the study has found it.

    None where the sweep is to have none, or it failed: one line has then said so, and a resumed sweep tries again.

    Raises:
        UserError: what every trial would meet as well.
    """
    if not plan.config.probe:
        return None
    record = read_probe(plan.experiment)
    if record is None and PROBE in study.user_attrs:  # Another driver's, whose study this one joins.
        record = ProbeRecord.model_validate(study.user_attrs[PROBE])
        _write(record, None, plan.experiment)
    if record is None:
        found = _found(plan, part)
        if found is None:
            return None
        record, solution = found
        _write(record, solution, plan.experiment)
    if PROBE not in study.user_attrs:
        study.set_user_attr(PROBE, record.model_dump(mode="json", exclude={"tried"}))
    return record


def read_probe(experiment: Path) -> ProbeRecord | None:
    """Return the record in an experiment's folder, None where there is none."""
    file = experiment / PROBE_FOLDER / PROBE_FILE
    if not file.is_file():
        return None
    try:
        return read_record(file, ProbeRecord, "it is found again")
    except UserError as error:
        print(f"warning: {error}", file=sys.stderr)
        return None


def probe_of(study: optuna.Study) -> ProbeRecord | None:
    """Return the probe that a study holds, without what was tried for it."""
    kept = study.user_attrs.get(PROBE)
    return None if kept is None else ProbeRecord.model_validate(kept)


def probe_config(config: SweepConfig) -> tuple[TrialConfig, dict[str, Any]]:
    """Return the settings that the probe shares with trials, and which of them the sweep searches.

    Of a searched knob that matters to it, it has the first choice, or a range's low end.
    """
    chosen: dict[str, Any] = {}
    for name in _MATTERS:
        knob = config.space.get(name)
        if isinstance(knob, Choices):
            chosen[name] = knob.values[0]
        elif isinstance(knob, Range):
            chosen[name] = int(knob.low)
    return assemble({**config.trial, **sweep_wide(config)}, chosen), chosen


def whole_share(part: Share, nodes: Sequence[Node]) -> Share:
    """Return what the probe asks for: all cores of the largest node; with GPUs, one whole one and its part of them."""
    able = [node for node in nodes if node.gpus >= part.gpus and node.cpus >= part.threads]
    if not able:
        return part
    node = max(able, key=lambda node: node.cpus)
    if not part.gpus:
        return replace(part, threads=node.cpus)
    gpus = max(1.0, part.gpus)
    return replace(part, threads=max(part.threads, int(node.cpus * gpus / node.gpus)), gpus=gpus)


def _found(plan: Plan, part: Share) -> tuple[ProbeRecord, Any] | None:
    config, chosen = probe_config(plan.config)
    first = ", ".join(f"{name} {value}" for name, value in chosen.items())
    searched = f"; of what is searched, {first}" if first else ""
    size = config.image_size
    print(f"probe        begins: a classifier on what {config.backbone} sees at {size} pixels{searched}", flush=True)
    prober = None
    try:
        prober = _prober(config, plan.settings(0, config)["run"], part)
        weights = ray.get(prober.weights.remote())
        if weights["warning"]:
            print(f"warning: {weights['warning']}", file=sys.stderr, flush=True)
        record, solution = ray.get(prober.find.remote())
    except RayError as error:
        failure = describe(error)
        if failure.ends_sweep:
            raise UserError(failure.reason) from None
        print(f"probe        none: {failure.reason}; the sweep goes on without it", flush=True)
        return None
    finally:
        if prober is not None:
            ray.kill(prober)
    score = f"validation macro F1 {record.val_macro_f1:.3f}, {record.seconds:.0f} s"
    print(f"probe        {record.words()}: {score}", flush=True)
    return record, solution


def _prober(config: TrialConfig, run: RunSettings, part: Share) -> Any:
    """Start the process, with a whole node's share where one is free, and a trial's where none is."""
    whole = whole_share(part, nodes_of_trials())
    prober = _start(config, run, whole)
    ready, _ = ray.wait([prober.__ray_ready__.remote()], timeout=PATIENCE_SECONDS)
    if ready or whole == part:
        return prober
    ray.kill(prober)
    return _start(config, run, part)


def _start(config: TrialConfig, run: RunSettings, part: Share) -> Any:
    actor = ray.remote(num_cpus=part.threads, num_gpus=part.gpus)(Prober)
    return actor.remote(config, replace(run, threads=part.threads))


def _write(record: ProbeRecord, solution: Any, experiment: Path) -> None:
    """Write the experiment's probe/; without the solution where that lies in another driver's experiment."""
    # What a mirror brought of one whose record did not get there.
    shutil.rmtree(experiment / PROBE_FOLDER, ignore_errors=True)
    with whole_or_nothing(experiment / PROBE_FOLDER) as folder:
        if solution is not None:
            solution.save(folder / SOLUTION_FILE)
        write_json(record.model_dump(mode="json"), folder / PROBE_FILE)
