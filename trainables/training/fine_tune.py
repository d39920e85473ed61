"""Fine-tuning of one configuration, an epoch at a time, and its metrics."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, precision_recall_fscore_support

from trainables.activations.features import Features
from trainables.activations.gathered import Gathered
from trainables.config import TrialConfig
from trainables.network.tail import HeadStart, State, StepSettings, Tail
from trainables.training.class_balance import balance

# How many training batches are evaluated at once: inference keeps nothing for a backward pass, and larger products use
# a processor better.
EVALUATED_AT_ONCE = 4

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Result = dict[str, Any]


class TrainingSet(NamedTuple):
    """Photos to train on, `labels` int64 [n], or copy number `copy` of them, which shows views that no other shows.

    None for `copy` stands for the photos as they are, in every epoch.
    """

    features: Features | Gathered
    labels: Array
    copy: int | None = 0


class Metrics(NamedTuple):
    """Figures of one split. `loss` includes L2 (and the class weights, while training); `cross_entropy` neither."""

    loss: float
    cross_entropy: float
    accuracy: float
    macro_f1: float


class Evaluation(NamedTuple):
    """A model's figures on a split, and what they come from: `logits` float32 [n, classes].

    `lengths` float32 [n] are those of the features that the last layer reads; None where they are not known.
    """

    metrics: Metrics
    logits: Array
    lengths: Array | None = None

    @property
    def probabilities(self) -> Array:
        """The model's own, float32 [n, classes]: without a temperature."""
        shifted = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        found: Array = shifted / shifted.sum(axis=1, keepdims=True)
        return found


class FineTuning:
    """One training run of one configuration; `epoch` is the last one finished, counted from 1.

    `counts` are the photos and copies of each family that an epoch shows, int64 [classes]; `balance` follows from them.

    The state can be taken after any epoch and put into a new run of the same configuration, which then goes on exactly
    as this one would have: batch order and dropout depend on (seed, epoch, step) alone.
    """

    def __init__(
        self,
        tail: Tail,
        training: Sequence[TrainingSet],
        validation: TrainingSet,
        config: TrialConfig,
        classes: int,
        start: HeadStart | None = None,
    ) -> None:
        self.tail = tail
        self._training = training
        self.validation = validation
        self.config = config
        self._labels = np.concatenate([part.labels for part in training])
        # After the copies were added: the correction must follow from what is trained on (class_balance.py).
        self.counts = np.bincount(self._labels, minlength=classes)
        self.balance = balance(config.imbalance, self.counts)
        self._steps_per_epoch = math.ceil(len(self._labels) / config.batch_size)
        self.epoch = 0
        self.best_epoch = 0
        self.best_score = -math.inf
        self.best_weights: State = {}
        self.step_seconds = 0.0  # inside the steps of the last epoch
        tail.reset(config.seed, start)
        self._mean: State = {}
        self._averaged = 0
        if config.weight_average == "epochs" and config.head_start != "random":
            self._average()

    def run_epoch(self) -> Result:
        """Train for one epoch and evaluate on validation; remember the weights if macro F1 is the best so far.

        Returns:
            The contract's metrics of this epoch. On a non-finite loss training cannot recover: `done` is True,
            `stop_kind` "failed" and `stop_reason` says where; the other metrics are what they are. `step_seconds` of
            the `epoch_seconds` were spent inside training steps.
        """
        started = time.monotonic()
        train = self.train_epoch()
        with self._judged():
            validation = self.evaluate(self.validation).metrics
            if validation.macro_f1 > self.best_score and math.isfinite(train.loss):
                self.best_score, self.best_epoch = validation.macro_f1, self.epoch
                self.best_weights = self.tail.weights()
        return {
            "epoch": self.epoch,
            **{f"train_{name}": value for name, value in train._asdict().items()},
            **{f"val_{name}": value for name, value in validation._asdict().items()},
            "best_val_macro_f1": max(self.best_score, 0.0),
            "best_epoch": self.best_epoch,
            "learning_rate": self.last_rate,
            "epoch_seconds": time.monotonic() - started,
            "step_seconds": self.step_seconds,
            **stop_after(self.epoch, self.best_epoch, self.config, train, validation),
        }

    def train_epoch(self) -> Metrics:
        """Train for one epoch, without a look at validation; return the figures of training."""
        self.epoch += 1
        figures = self._train()
        if self.config.weight_average == "epochs":
            self._average()
        return figures

    def judge(self, part: TrainingSet | None = None) -> Evaluation:
        """Evaluate the weights that are judged, on validation where no other photos are given."""
        with self._judged():
            return self.evaluate(part or self.validation)

    @property
    def last_rate(self) -> float:
        """The learning rate of the last step that was taken."""
        return self._rate(self.epoch * self._steps_per_epoch - 1)

    def kept_weights(self) -> State:
        """The weights that are judged and kept after the last epoch, as `weight_average` says."""
        return self._mean or self.tail.weights()

    def evaluate(self, part: TrainingSet) -> Evaluation:
        """Evaluate on photos as they are, without augmentation or dropout."""
        size = EVALUATED_AT_ONCE * self.config.batch_size
        rows = [np.arange(first, min(first + size, len(part.labels))) for first in range(0, len(part.labels), size)]
        found = [self.tail.evaluate_batch(part.features.batch(chosen, None)) for chosen in rows]
        logits, lengths = (np.concatenate(each) for each in zip(*found, strict=True))
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        cross_entropy = float(-log_probabilities[np.arange(len(part.labels)), part.labels].mean())
        predicted = logits.argmax(axis=1)
        metrics = Metrics(
            loss=cross_entropy + self.tail.l2_penalty(self.config.l2),
            cross_entropy=cross_entropy,
            accuracy=float(np.mean(predicted == part.labels)),
            macro_f1=macro_f1(part.labels, predicted),
        )
        return Evaluation(metrics, logits, lengths)

    def state(self) -> State:
        """All that is needed to go on: weights, optimizer, epoch, the best epoch and its weights."""
        progress = {"epoch": self.epoch, "best_epoch": self.best_epoch, "best_score": self.best_score}
        # While the last epoch is the best, its weights are the tail's, and need not be kept twice.
        best = {} if self.best_epoch == self.epoch else self.best_weights
        if self._averaged:
            progress["averaged"] = self._averaged
        return {
            **self.tail.state(),
            **{f"best-{name}": value for name, value in best.items()},
            **{f"mean-{name}": value for name, value in self._mean.items()},
            **{name: np.asarray(value) for name, value in progress.items()},
        }

    def load(self, state: State) -> None:
        """Go on from what `state` gave."""
        self.tail.load(state)
        self.epoch, self.best_epoch = int(state["epoch"]), int(state["best_epoch"])
        self.best_score = float(state["best_score"])
        self._averaged, self._mean = int(state.get("averaged", 0)), _part(state, "mean-")
        self.best_weights = self.kept_weights() if self.best_epoch == self.epoch else _part(state, "best-")

    def _average(self) -> None:
        """Take the present weights into the mean; a new one, as the old may be the best epoch's."""
        weights, self._averaged = self.tail.weights(), self._averaged + 1
        old = self._mean or weights
        self._mean = {name: old[name] + (value - old[name]) / self._averaged for name, value in weights.items()}

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Let the tail have the weights that are judged, and then those that training goes on from again."""
        if not self._mean:
            yield
            return
        weights = self.tail.weights()
        self.tail.load(self._mean)
        try:
            yield
        finally:
            self.tail.load(weights)

    def _train(self) -> Metrics:
        config = self.config
        order = np.random.default_rng([config.seed, self.epoch]).permutation(len(self._labels))
        losses, entropies, predicted = [], [], []
        self.step_seconds = 0.0
        for number, first in enumerate(range(0, len(order), config.batch_size)):
            step = (self.epoch - 1) * self._steps_per_epoch + number
            rows = np.sort(order[first : first + config.batch_size])  # Sorted reads of a memory map are sequential.
            rate = self._rate(step)
            head_rate = rate * (config.head_learning_rate or config.learning_rate) / config.learning_rate
            settings = StepSettings(
                rate, head_rate, config.dropout, config.l2, config.label_smoothing, config.seed, step
            )
            inputs = self._batch(rows)
            started = time.monotonic()
            loss, entropy, classes = self.tail.train_batch(inputs, self._labels[rows], self.balance, settings)
            self.step_seconds += time.monotonic() - started
            losses.append(loss)
            entropies.append(entropy)
            predicted.append((rows, classes))
        # Read back once an epoch: a device need not wait for Python after every batch.
        started = time.monotonic()
        sizes = [len(rows) for rows, _ in predicted]
        guesses = np.empty_like(self._labels)
        for rows, classes in predicted:
            guesses[rows] = classes.numpy()
        self.step_seconds += time.monotonic() - started
        return Metrics(
            loss=float(np.average([loss.numpy() for loss in losses], weights=sizes)),
            cross_entropy=float(np.average([entropy.numpy() for entropy in entropies], weights=sizes)),
            accuracy=float(np.mean(guesses == self._labels)),
            macro_f1=macro_f1(self._labels, guesses),
        )

    def _batch(self, rows: Array) -> list[Any]:
        """Inputs at `rows` of all parts laid end to end."""
        view = (self.epoch - 1) % self.config.augment_views
        pieces, first = [], 0
        for part in self._training:
            inside = rows[(rows >= first) & (rows < first + len(part.labels))] - first
            if len(inside):
                shown = None if part.copy is None else view + part.copy * self.config.augment_views
                pieces.append(part.features.batch(inside, shown))
            first += len(part.labels)
        return pieces[0] if len(pieces) == 1 else [np.concatenate(arrays) for arrays in zip(*pieces, strict=True)]

    def _rate(self, step: int) -> float:
        config = self.config
        return learning_rate(config.schedule, config.learning_rate, step, config.epochs * self._steps_per_epoch)


def _part(state: State, prefix: str) -> State:
    """Entries whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def stop_after(epoch: int, best_epoch: int, config: TrialConfig, train: Metrics, validation: Metrics) -> Result:
    """What a result says of the run's end, nothing where it goes on after this epoch."""
    for name, value in (("train_loss", train.loss), ("val_loss", validation.loss)):
        if not math.isfinite(value):
            return _done("failed", f"{name} became {value} in epoch {epoch}")
    if epoch >= config.epochs:
        return _done("max_epochs", f"reached epoch {epoch}, the last")
    if epoch - best_epoch >= config.patience:
        return _done("early_stopping", f"validation macro F1 has not risen for {config.patience} epochs")
    return {}


def _done(kind: str, reason: str) -> Result:
    return {"done": True, "stop_kind": kind, "stop_reason": reason}


def macro_f1(labels: Ints, predicted: Ints) -> float:
    """Mean F1 over the families that have photos in `labels`, 0..1.

    A family kept in training only has no photo to be judged by in validation or test; counting it as 0 would put a
    ceiling under 1 on every model alike. A family with photos of which none is found counts 0.
    """
    families = np.unique(labels)
    return float(f1_score(labels, predicted, labels=families, average="macro", zero_division=0.0))


def family_f1(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """F1 of each of `classes` families, float64 [classes]; NaN for a family without photos in `labels`."""
    f1: npt.NDArray[np.float64] = family_scores(labels, predicted, classes)[2]
    return f1


def family_scores(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """Precision, recall and F1 of each family, float64 [3, classes]; NaN for a family without photos in `labels`."""
    if not len(labels):
        return np.full((3, classes), np.nan)
    scores = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(classes), average=None, zero_division=0.0
    )[:3]
    known: npt.NDArray[np.bool_] = np.bincount(labels, minlength=classes) > 0
    return np.where(known, np.array(scores, dtype=np.float64), np.nan)


def learning_rate(schedule: str, initial: float, step: int, total_steps: int) -> float:
    """Learning rate for `step` of `total_steps` (both counted in batches over all epochs that the trial may run).

    `cosine` decays from `initial` to 0 (Loshchilov and Hutter 2017, without restarts); `constant` stays.
    """
    if schedule == "constant":
        return initial
    return initial * 0.5 * (1 + math.cos(math.pi * min(step / total_steps, 1.0)))
