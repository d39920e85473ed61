"""The sweep's probe in the final stage: judged beside the trial, fitted again where it is handed over."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.files.experiment import PROBE_FOLDER, SOLUTION_FILE
from trainables.handoff import Handoff, ProbeRecord
from trainables.probe.choice import judge
from trainables.probe.probe import Probe, find_probe, refit
from trainables.probe.solution import Solution
from trainables.training.fine_tune import Evaluation, Metrics
from trainables.training.worker import Worker

Say = Callable[[str], None]


class ProbeStage(NamedTuple):
    """The probe fitted on training photos alone: `record` says what it is, `config` how its photos are read."""

    record: ProbeRecord
    config: TrialConfig
    probe: Probe
    train: Evaluation
    validation: Evaluation

    def fitted(self, worker: Worker, splits: Sequence[str]) -> Solution:
        """The same classifier, fitted on the photos of all `splits`."""
        return self.probe.solution if tuple(splits) == ("train",) else refit(worker, self.config, self.probe, splits)

    def as_json(self, splits: Sequence[str]) -> dict[str, Any]:
        """What metrics.json says of the one fitted on `splits`; its figures stand there among the stages."""
        told = self.record.model_dump(mode="json", exclude={"tried"})
        here = {"fitted_on": list(splits), "words": self.record.words(), "config": self.config.model_dump(mode="json")}
        return told | here


def open_probe(handoff: Handoff, experiment: Path, worker: Worker, say: Say) -> ProbeStage | None:
    """Return the sweep's probe as this machine computes it, None where there is none or it cannot.

    Args:
        experiment: the folder with the sweep's probe/; without its solution the probe is found again.
    """
    record = handoff.probe
    if record is None:
        return None
    config = record.config.model_copy(update={"precision": "float32", "store_dtype": "float32"})
    try:
        weights, expected = worker.weights(config), record.weights.get("fingerprint")
        if expected not in (None, weights.fingerprint):
            used, here = record.weights["kind"], weights.kind
            raise UserError(f"weights: it was found with {used}, here {config.backbone_weights!r} means {here}")
        probe = _probe(record, experiment / PROBE_FOLDER / SOLUTION_FILE, worker, config, say)
        train, validation = (evaluate(worker, config, probe.solution, split) for split in ("train", "validation"))
    except UserError as error:
        say(f"the probe cannot be computed here, so only the trial counts: {error}")
        return None
    say(f"the probe, {record.words()}: validation macro F1 {validation.metrics.macro_f1:.1%}")
    return ProbeStage(record, config, probe, train, validation)


def evaluate(worker: Worker, config: TrialConfig, solution: Solution, split: str) -> Evaluation:
    """A solution's figures on a split; without a penalty its loss is the cross-entropy."""
    labels = worker.photos(split, config.image_size).labels
    features = worker.pooled(split, config, solution.depths)
    logits = solution.logits(features)
    return Evaluation(judge(labels, logits), logits, solution.lengths(features))


def _probe(record: ProbeRecord, file: Path, worker: Worker, config: TrialConfig, say: Say) -> Probe:
    if not file.is_file():
        say(f"{file} is not there: the probe is found again")
        return find_probe(worker, config, say)
    loss = record.val_cross_entropy
    return Probe(
        solution=Solution.load(file),
        classifier=record.classifier,
        strength=record.strength,
        class_weight=record.class_weight,
        validation=Metrics(loss, loss, record.val_accuracy, record.val_macro_f1),
        seconds=record.seconds,
        tried=(),
    )
