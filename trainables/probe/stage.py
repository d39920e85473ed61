"""The command's stage: prove the splits disjoint, find the probe, fit it again, test once, write the model."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trainables.config import TrialConfig
from trainables.data.dataset import SPLITS, Dataset, open_dataset_at
from trainables.data.leaks import LeakProof, prove_disjoint
from trainables.data.ledger import record_reading, times_read
from trainables.device import fast_precision, usable_cores
from trainables.errors import UserError
from trainables.files.experiment import FAMILIES_FILE, METRICS_FILE, PREDICTIONS_FILE
from trainables.files.output import check_free, whole_or_nothing, write_json, write_rows
from trainables.final.held_out import COLUMNS, by_rank, columns, guarantee_of, told
from trainables.final.outcome import PREDICTIONS
from trainables.final.probe import evaluate
from trainables.guarantee import Guarantee
from trainables.inference.keras_model import save_model
from trainables.network.backbones import check_weights
from trainables.probe.choice import words
from trainables.probe.fits import log_softmax
from trainables.probe.options import ProbeOptions
from trainables.probe.probe import Probe, find_probe, probe_model, refit
from trainables.probe.solution import Solution
from trainables.training.fine_tune import Evaluation, family_scores
from trainables.training.worker import Worker
from trainables.versions import git_commit, versions

Say = Callable[[str], None]

STAGE = "probe"
FAMILIES = ("family", *(f"{split}_photos" for split in SPLITS), "val_f1", "test_f1", "test_precision", "test_recall")
MOST_DIFFERENCE = 1e-3  # between a probability of the Keras model and the solution's
_CHECKED = 8  # photos


def run(place: Path | str, out: Path, options: ProbeOptions, say: Say, warn: Say) -> dict[str, Any]:
    """Run the probe on the dataset at `place` and write the folder `out`; `say` gets a line per step.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: there is no dataset, it leaks, the weights or the image size do not fit; `out` holds something.
    """
    check_free(out)
    seconds = _clock()
    worker, config = _open(place, out, options)
    weights = worker.weights(config)
    if weights.warning:
        warn(weights.warning)
    proof = _prove(worker.dataset)
    say(f"the splits are disjoint by photo id, content and group ({seconds():.0f} s)")
    probe = find_probe(worker, config, say)
    chosen = f"{words(probe.solution.depths)} by {probe.classifier}, C {probe.strength:.3g}"
    say(f"chosen: {chosen}, class weights {probe.class_weight}; validation macro F1 {probe.validation.macro_f1:.1%}")
    solution = refit(worker, config, probe)
    read = "reading test now, once" if worker.dataset.tested else "there are no test photos"
    say(f"fitted again on train and validation ({seconds():.0f} s); {read}")
    earlier = record_reading(worker.dataset, str(out), "probe", say) if worker.dataset.tested else []
    if earlier:
        warn(times_read(earlier))
    # The model that is kept computes in float32, however the features were found.
    exact = config.model_copy(update={"precision": "float32", "store_dtype": "float32"})
    judged = {"validation": evaluate(worker, config, probe.solution, "validation")}
    if worker.dataset.tested:
        judged["test"] = evaluate(worker, exact, solution, "test")
    figures = {split: each.metrics._asdict() for split, each in judged.items()}
    with whole_or_nothing(out) as folder:
        model = probe_model(worker, config, solution)
        _check(model, worker, exact, solution)
        guarantee = guarantee_of(worker.dataset, judged["validation"])
        save_model(model, worker.dataset.class_names, config, folder, guarantee, worker.dataset.manifest.taxonomy)
        write_tables(worker.dataset, judged, guarantee, folder)
        metrics = {
            **_metrics(worker.dataset, config, probe, proof),
            "stages": {STAGE: figures},
            "guarantee": told(worker.dataset, guarantee, judged.get("test")),
            "taxonomy": by_rank(worker.dataset, judged.get("test")),
            "test_read_before": [reading.model_dump() for reading in earlier],
            "weights": asdict(weights),
            "seconds": round(seconds(), 1),
        }
        write_json(metrics, folder / METRICS_FILE)
    return metrics


def _open(place: Path | str, out: Path, options: ProbeOptions) -> tuple[Worker, TrialConfig]:
    """A worker on the dataset, and the configuration whose frozen backbone is probed."""
    check_weights(options.backbone, options.weights)
    store = options.store or out.parent / "store"
    dataset = open_dataset_at(place, store)
    shared = {*TrialConfig.model_fields} & {*ProbeOptions.model_fields} - {"seed"}
    asked = TrialConfig(sweep_seed=options.seed, **options.model_dump(include=shared))
    config = asked.model_copy(update={"precision": fast_precision()}) if asked.precision == "auto" else asked
    store_bytes = None if options.store_gb is None else int(options.store_gb * 1e9)
    return Worker(dataset, store, store_bytes, options.threads or usable_cores()), config


def _clock() -> Callable[[], float]:
    """Seconds since now."""
    started = time.monotonic()
    return lambda: time.monotonic() - started


def _metrics(dataset: Dataset, config: TrialConfig, probe: Probe, proof: LeakProof) -> dict[str, Any]:
    """The content of metrics.json, but for the figures."""
    return {
        "format": 1,
        "chosen": STAGE,
        "depths": probe.solution.depths,
        "classifier": probe.classifier,
        "strength": probe.strength,
        "class_weight": probe.class_weight,
        "tried": [row._asdict() for row in probe.tried],
        "probe_seconds": round(probe.seconds, 1),
        "dataset": {"folder": str(dataset.folder), "url": dataset.url, "fingerprint": dataset.fingerprint},
        "config": config.model_dump(),
        "leaks": {**proof.model_dump(), "passed": proof.passed},
        "versions": versions(),
        "git_commit": git_commit(),
    }


def write_tables(dataset: Dataset, judged: dict[str, Evaluation], guarantee: Guarantee, folder: Path) -> None:
    """Write predictions.csv, as the final stage does, and families.csv; `judged` are validation and test."""
    rows: list[list[object]] = []
    for split, each in judged.items():
        photos = dataset.photos(split)
        more: list[list[object]] = [[""] * len(COLUMNS)] * len(photos)
        if split == "test":
            more = columns(guarantee, each, np.array([photo.label for photo in photos]))
        for photo, row, cells in zip(photos, each.probabilities, more, strict=True):
            guess = int(row.argmax())
            names = (photo.photo_id, photo.source, photo.group, photo.family, dataset.class_names[guess])
            rows.append([STAGE, split, *names, f"{row[guess]:.6f}", f"{row[photo.label]:.6f}", *cells])
    write_rows(folder / PREDICTIONS_FILE, PREDICTIONS, rows)
    write_rows(folder / FAMILIES_FILE, FAMILIES, _families(dataset, judged))


def _families(dataset: Dataset, judged: dict[str, Evaluation]) -> Iterator[list[object]]:
    """A row for each family; a score is empty where a split lacks the family."""
    classes = len(dataset.class_names)
    scores = {split: np.full((3, classes), np.nan) for split in ("validation", "test")}
    for split, each in judged.items():
        labels = np.array([photo.label for photo in dataset.photos(split)])
        scores[split] = family_scores(labels, each.logits.argmax(axis=1), classes)
    precision, recall, f1 = scores["test"]
    columns = [scores["validation"][2], f1, precision, recall]
    for label, family in enumerate(dataset.class_names):
        counts = [dataset.manifest.counts[split].get(family, 0) for split in SPLITS]
        yield [family, *counts, *("" if np.isnan(column[label]) else f"{column[label]:.6f}" for column in columns)]


def _prove(dataset: Dataset) -> LeakProof:
    proof = prove_disjoint(dataset)
    if not proof.passed:
        more = f" (and {len(proof.leaks) - 1} more)" if len(proof.leaks) > 1 else ""
        raise UserError(
            f"the splits of {dataset.url or dataset.folder} are not disjoint: {proof.leaks[0]}{more}; prepare it again"
        )
    return proof


def _check(model: Any, worker: Worker, config: TrialConfig, solution: Solution) -> None:
    """Compare the Keras model's probabilities of some validation photos with the solution's."""
    photos = worker.photos("validation", config.image_size)
    some = np.arange(min(_CHECKED, len(photos)))
    logits = solution.logits(worker.pooled("validation", config, solution.depths, rows=some))
    given = model.predict_on_batch(photos.read(some))
    difference = float(np.abs(given - np.exp(log_softmax(logits))).max())
    if difference > MOST_DIFFERENCE:
        raise RuntimeError(f"the Keras model's probabilities differ from the probe's by {difference:.2g}")
