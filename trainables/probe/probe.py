"""The probe of a dataset: found once on a node, remembered, fitted again on more photos."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from trainables.config import TrialConfig
from trainables.data.folds import PARTED, Parting, folds_of
from trainables.device import device_name, give_memory_back
from trainables.inference.keras_model import headed_model
from trainables.network.cut import block_ends
from trainables.probe.choice import (
    Classifier,
    ClassWeight,
    Features,
    Ints,
    Tried,
    choose,
    fit,
    judge,
)
from trainables.probe.solution import Floats, Solution, save_arrays, standardisation
from trainables.training.fine_tune import Metrics
from trainables.training.worker import Worker
from trainables.versions import versions

METHOD = 4  # Raised when the same photos would give another probe: what is remembered is found anew then.
FOLDER = "probes"
FEWEST_JUDGES = 5  # validation photos of a family on average; with fewer, folds of train and validation decide
FOLDS = 3
_RELEVANT = {"backbone", "image_size", "precision", "store_dtype"}


@dataclass(frozen=True)
class Probe:
    """The best linear classifier on frozen features that was found, fitted on the training photos.

    `strength` is C of logistic regression, the shrinkage of discriminant analysis; `validation` are its figures on the
    validation photos; `seconds` is what finding it took, reading or computing the features included.
    """

    solution: Solution
    classifier: Classifier
    strength: float
    class_weight: ClassWeight
    validation: Metrics
    seconds: float
    tried: tuple[Tried, ...]


def find_probe(worker: Worker, config: TrialConfig, say: Callable[[str], None] | None = None) -> Probe:
    """Find the probe for the configuration's backbone, image size, precision and imbalance, or recall it.

    It is remembered in the store's folder; of several processes of a node that ask at once, one computes it.

    Args:
        say: gets a line for each step.
    """
    started, say = time.monotonic(), say or (lambda line: None)
    key = _key(worker, config)
    file = _file(worker, key)
    with FileLock(file.with_suffix(".lock")):
        if file.is_file():
            return _read(file)
        probe = _find(worker, config, started, say)
        _write(probe, key, file)
    return probe


def refit(
    worker: Worker,
    config: TrialConfig,
    probe: Probe,
    splits: Sequence[str] = ("train", "validation"),
    rows: Ints | None = None,
) -> Solution:
    """Fit what the probe chose on the photos of all `splits` together, or on those of them at `rows`."""
    depths = probe.solution.depths
    features, labels = _together(worker, config, depths, splits)
    if rows is not None:
        features, labels = features[rows], labels[rows]
    mean, deviation = standardisation(features)
    features -= mean
    features /= deviation
    table = Features({"all": features}, labels, worker.classes)
    choice = Tried(("all",), probe.classifier, probe.strength, probe.class_weight, 0.0, 0.0)
    linear = fit(table, np.arange(len(labels)), choice)
    return Solution(depths, mean, deviation, linear.kernel, linear.bias)


def fitted_on(worker: Worker, config: TrialConfig, probe: Probe, rows: Ints) -> Solution:
    """Fit what the probe chose on some of the training and validation photos, or recall it, as `find_probe` does."""
    chosen = [probe.solution.depths, probe.classifier, probe.strength, rows.tolist()]
    file = _file(worker, {**_key(worker, config), "rows": chosen})
    with FileLock(file.with_suffix(".lock")):
        if not file.is_file():
            refit(worker, config, probe, rows=rows).save(file)
        return Solution.load(file)


def judged_as_trials(worker: Worker, config: TrialConfig, probe: Probe) -> Metrics:
    """The probe's figures by the photos that judge trials: with folds, each by a fit that did not see it."""
    if not config.validation.parted:
        return probe.validation
    features, labels = _together(worker, config, probe.solution.depths, PARTED)
    folds = folds_of(worker.dataset, config.validation, config.sweep_seed)
    judged = [fitted_on(worker, config, probe, fit).logits(features[others]) for fit, others in folds]
    return judge(labels[np.concatenate([others for _, others in folds])], np.concatenate(judged))


def probe_model(worker: Worker, config: TrialConfig, solution: Solution) -> Any:
    """One Keras model that maps RGB pixels 0..255, [n, size, size, 3], to float32 probabilities [n, classes].

    The backbone inside ends at the last depth that is used.
    """
    import keras

    base = worker.base(config)
    backbone = keras.models.clone_model(base)  # Other trials need the base as it is.
    backbone.set_weights(base.get_weights())
    linear = config.model_copy(update={"head": "depths", "dense_units": 0})
    standard = solution.mean, solution.deviation
    return headed_model(backbone, solution.depths, linear, standard, (solution.kernel, solution.bias))


def class_weight(config: TrialConfig) -> ClassWeight:
    """How the configuration's correction of the imbalance is done here."""
    return "balanced" if config.imbalance in ("class_weights", "effective_number") else "none"


def _together(worker: Worker, config: TrialConfig, depths: Sequence[str], splits: Sequence[str]) -> tuple[Floats, Ints]:
    """Pooled features and labels of several splits, laid end to end."""
    parts = [worker.pooled(split, config, depths) for split in splits]
    return np.concatenate(parts), np.concatenate([worker.photos(split, config.image_size).labels for split in splits])


def _find(worker: Worker, config: TrialConfig, started: float, say: Callable[[str], None]) -> Probe:
    depths = block_ends(worker.base(config))
    say(f"features at {len(depths)} depths of the frozen backbone, {depths[0]} to {depths[-1]}")
    train, validation = (worker.pooled(split, config, depths) for split in ("train", "validation"))
    say(f"{len(train)} training and {len(validation)} validation photos after {time.monotonic() - started:.0f} s")
    give_memory_back()  # What the pass worked in, before the fits take theirs.
    mean, deviation = standardisation(train)
    stacked = np.concatenate([train, validation])
    del train, validation
    stacked -= mean
    stacked /= deviation
    labels = [worker.photos(split, config.image_size).labels for split in ("train", "validation")]
    widths = np.cumsum([_channels(worker, config, depth) for depth in depths])
    columns = np.split(np.arange(stacked.shape[1]), widths[:-1])
    by_depth = {depth: stacked[:, part[0] : part[-1] + 1] for depth, part in zip(depths, columns, strict=True)}
    features = Features(by_depth, np.concatenate(labels), worker.classes)
    fitted, judged = np.arange(len(labels[0])), len(labels[0]) + np.arange(len(labels[1]))
    partings = _partings(worker, features, fitted, judged, say)
    (choice, linear), tried = choose(features, partings, class_weight(config), say)
    if len(partings) > 1:  # Else what judged the choice was fitted on the training photos.
        linear = fit(features, fitted, choice)
    used = np.concatenate([part for depth, part in zip(depths, columns, strict=True) if depth in choice.depths])
    solution = Solution(choice.depths, mean[used], deviation[used], linear.kernel, linear.bias)
    metrics = judge(labels[1], linear.logits(features.at(choice.depths, judged)))
    seconds = time.monotonic() - started
    return Probe(solution, choice.classifier, choice.strength, choice.class_weight, metrics, seconds, tuple(tried))


def _partings(
    worker: Worker, features: Features, train: Ints, validation: Ints, say: Callable[[str], None]
) -> list[Parting]:
    """Validation judges; where it is small, folds of train and validation do, and no group is parted."""
    from sklearn.model_selection import StratifiedGroupKFold

    if len(validation) >= FEWEST_JUDGES * worker.classes:
        return [Parting(train, validation)]
    say(f"validation has {len(validation)} photos of {worker.classes} families: {FOLDS} folds with train decide")
    groups = [photo.group for split in ("train", "validation") for photo in worker.dataset.photos(split)]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    return [Parting(*pair) for pair in folds.split(np.zeros(len(groups)), features.labels, groups)]


def _channels(worker: Worker, config: TrialConfig, depth: str) -> int:
    """How many features a depth has."""
    outputs = {operation.name: operation.output for operation in worker.base(config).operations}
    return int(outputs[depth].shape[-1])


def _file(worker: Worker, key: dict[str, Any]) -> Path:
    """Where a node remembers what depends on `key`."""
    folder = worker.store_root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]}.npz"


def _key(worker: Worker, config: TrialConfig) -> dict[str, Any]:
    """All that the probe depends on."""
    weights = worker.weights(config)
    return {
        "method": METHOD,
        "dataset": worker.dataset.fingerprint,
        "weights": weights.fingerprint,
        "seed": config.sweep_seed if weights.kind == "random" else None,
        "class_weight": class_weight(config),
        "device": device_name(),
        "versions": versions(),
        **config.model_dump(include=_RELEVANT),
    }


def _write(probe: Probe, key: dict[str, Any], file: Path) -> None:
    told = {
        "key": key,
        "classifier": probe.classifier,
        "strength": probe.strength,
        "class_weight": probe.class_weight,
        "validation": probe.validation._asdict(),
        "seconds": probe.seconds,
        "tried": [row._asdict() for row in probe.tried],
    }
    save_arrays({**probe.solution.arrays(), "told": np.array(json.dumps(told))}, file)


def _read(file: Path) -> Probe:
    with np.load(file) as arrays:
        told, solution = json.loads(str(arrays["told"])), Solution.from_arrays(arrays)
    tried = tuple(Tried(**{**row, "depths": tuple(row["depths"])}) for row in told["tried"])
    validation = Metrics(**told["validation"])
    return Probe(
        solution, told["classifier"], told["strength"], told["class_weight"], validation, told["seconds"], tried
    )
