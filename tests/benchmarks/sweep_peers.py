"""The searches that bench_sweep compares with Raretune's own, as a competent user of each library would write them.

All train the study's network with Keras `fit`: photos decoded once and held in memory, Keras augmentation layers on the
batches of a prefetched tf.data pipeline, BatchNorm frozen, class weights, cosine decay. They see the same splits.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainables.training.class_balance import balance
from trainables.training.fine_tune import macro_f1

LEARNING_RATES = (1e-5, 1e-2)
DROPOUTS = (0.0, 0.6)
DENSE_UNITS = (128, 256, 512)
UNFROZEN_LAYERS = (0, 31, 62)
KNOBS = ("learning_rate", "dropout", "dense_units", "unfrozen_layers")
BATCH = 32

Params = dict[str, Any]
Report = Callable[[int, float], None]


@dataclass(frozen=True)
class Task:
    """What every search is given: photos uint8 [n, size, size, 3] and labels by split, and how much to try."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    classes: int
    weights: str
    trials: int
    epochs: int
    seed: int
    folder: Path


@dataclass(frozen=True)
class Found:
    """What a search did: of each trial its configuration and the validation macro F1 of every epoch.

    `began` is when its first trial did, in seconds since 1970.
    """

    curves: list[tuple[Params, list[float]]]
    began: float


def ray_tune(task: Task) -> Found:
    """Stock Ray Tune: OptunaSearch, AsyncHyperBandScheduler, one trial at a time on all cores."""
    import os

    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    def trainable(config: Params, task: Task) -> None:
        fit(task, config, lambda epoch, score: tune.report({"val_macro_f1": score, "epoch": epoch}))

    cores = len(os.sched_getaffinity(0))
    ray.init("local", num_cpus=cores, include_dashboard=False, log_to_driver=False)
    space = {
        "learning_rate": tune.loguniform(*LEARNING_RATES),
        "dropout": tune.uniform(*DROPOUTS),
        "dense_units": tune.choice(DENSE_UNITS),
        "unfrozen_layers": tune.choice(UNFROZEN_LAYERS),
    }
    scheduler = ASHAScheduler(time_attr="epoch", max_t=task.epochs, grace_period=1, reduction_factor=3)
    search = ConcurrencyLimiter(OptunaSearch(seed=task.seed), max_concurrent=1)
    gpu = {"gpu": 1} if ray.cluster_resources().get("GPU") else {}
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, task=task), {"cpu": cores, **gpu}),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="val_macro_f1", mode="max", search_alg=search, scheduler=scheduler, num_samples=task.trials
        ),
        run_config=tune.RunConfig(storage_path=str(task.folder), verbose=0),
    )
    trials = [(result.config, result.metrics_dataframe) for result in tuner.fit()]
    ray.shutdown()
    frames = [(config, frame) for config, frame in trials if config is not None and frame is not None]
    began = min(float((frame["timestamp"] - frame["time_total_s"]).iloc[0]) for _, frame in frames)
    return Found([(config, frame["val_macro_f1"].tolist()) for config, frame in frames], began)


def optuna_loop(task: Task) -> Found:
    """Optuna in a loop, every configuration trained to the end: the reference study's way."""
    import keras
    import optuna

    curves: list[tuple[Params, list[float]]] = []

    def objective(trial: optuna.Trial) -> float:
        keras.backend.clear_session()
        params = {
            "learning_rate": trial.suggest_float("learning_rate", *LEARNING_RATES, log=True),
            "dropout": trial.suggest_float("dropout", *DROPOUTS),
            "dense_units": trial.suggest_categorical("dense_units", DENSE_UNITS),
            "unfrozen_layers": trial.suggest_categorical("unfrozen_layers", UNFROZEN_LAYERS),
        }
        scores: list[float] = []
        curves.append((params, scores))
        fit(task, params, lambda _, score: scores.append(score))
        return max(scores)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=task.seed))
    study.optimize(objective, n_trials=task.trials)
    began = study.trials[0].datetime_start
    assert began is not None
    return Found(curves, began.timestamp())


def keras_tuner(task: Task) -> Found:
    """KerasTuner's Hyperband with factor 3; its number of trials follows from that of epochs, not from `trials`."""
    import keras_tuner as kt

    curves: list[tuple[Params, list[float]]] = []

    class Network(kt.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            params = {
                "learning_rate": hp.Float("learning_rate", *LEARNING_RATES, sampling="log"),
                "dropout": hp.Float("dropout", *DROPOUTS),
                "dense_units": hp.Choice("dense_units", list(DENSE_UNITS)),
                "unfrozen_layers": hp.Choice("unfrozen_layers", list(UNFROZEN_LAYERS)),
            }
            return network(task, params)

        def fit(self, hp: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
            scores: list[float] = []
            curves.append((dict(hp.values), scores))
            callbacks = [judge_epochs(task, lambda _, score: scores.append(score)), *keywords.pop("callbacks", [])]
            return model.fit(*arguments, callbacks=callbacks, class_weight=_class_weights(task), **keywords)

    tuner = kt.Hyperband(
        Network(),
        objective=kt.Objective("val_macro_f1", "max"),
        max_epochs=task.epochs,
        factor=3,
        seed=task.seed,
        directory=str(task.folder),
        project_name="hyperband",
    )
    began = time.time()
    tuner.search(pipeline(task), verbose=0)
    return Found(curves, began)


PEERS: dict[str, Callable[[Task], Found]] = {"ray": ray_tune, "optuna": optuna_loop, "kerastuner": keras_tuner}


def fit(task: Task, params: Params, report: Report) -> None:
    """Train one configuration for all of its epochs; `report` hears of each."""
    network(task, params).fit(
        pipeline(task),
        epochs=task.epochs,
        class_weight=_class_weights(task),
        callbacks=[judge_epochs(task, report)],
        verbose=0,
    )


def network(task: Task, params: Params) -> Any:
    """The study's network, compiled: InceptionV3, pooling, dropout, dense with L2, dropout, softmax."""
    import keras

    keras.utils.set_random_seed(task.seed)
    shape = task.train[0].shape[1:]
    base = keras.applications.InceptionV3(
        weights=None if task.weights == "random" else task.weights, include_top=False, input_shape=shape
    )
    first = len(base.layers) - params["unfrozen_layers"]
    for index, layer in enumerate(base.layers):
        layer.trainable = index >= first and not isinstance(layer, keras.layers.BatchNormalization)
    pixels = keras.Input(shape)
    features = base(keras.layers.Rescaling(1 / 127.5, -1)(pixels), training=False)
    features = keras.layers.Dropout(params["dropout"])(keras.layers.GlobalAveragePooling2D()(features))
    hidden = keras.layers.Dense(params["dense_units"], "relu", kernel_regularizer=keras.regularizers.L2(1e-3))(features)
    output = keras.layers.Dense(task.classes, "softmax")(keras.layers.Dropout(params["dropout"])(hidden))
    model = keras.Model(pixels, output)
    steps = task.epochs * -(-len(task.train[1]) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(params["learning_rate"], steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def pipeline(task: Task) -> Any:
    """Batches of augmented training photos."""
    import keras
    import tensorflow as tf

    augmentation = keras.Sequential(
        [
            keras.layers.RandomFlip(),
            keras.layers.RandomRotation(20 / 360),
            keras.layers.RandomZoom(0.1),
            keras.layers.RandomBrightness(0.2),
            keras.layers.RandomContrast(0.2),
        ]
    )
    photos = tf.data.Dataset.from_tensor_slices(task.train).shuffle(len(task.train[1]), seed=task.seed).batch(BATCH)
    return photos.map(
        lambda pixels, labels: (augmentation(pixels, training=True), labels), num_parallel_calls=tf.data.AUTOTUNE
    ).prefetch(tf.data.AUTOTUNE)


def judge_epochs(task: Task, report: Report) -> Any:
    """A Keras callback that judges every epoch on the validation photos."""
    import keras

    class Judge(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            pixels, labels = task.validation
            score = macro_f1(labels, self.model.predict(pixels, batch_size=128, verbose=0).argmax(axis=1))
            if logs is not None:
                logs["val_macro_f1"] = score
            report(epoch + 1, score)

    return Judge()


def _class_weights(task: Task) -> dict[int, float]:
    counts = np.bincount(task.train[1], minlength=task.classes)
    return dict(enumerate(map(float, balance("class_weights", counts).weights)))
