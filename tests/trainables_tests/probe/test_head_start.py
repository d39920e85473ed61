import numpy as np
import pytest

from tests.trainables_tests.training_example import LEARNS, SMALL
from trainables.inference.keras_model import whole_model
from trainables.probe.head_start import find_start, through_dense_layer
from trainables.probe.probe import find_probe
from trainables.training.fine_tune import FineTuning
from trainables.training.worker import Worker

LINEAR = SMALL.model_copy(update={"head": "depths", "dense_units": 0, "learning_rate": 1e-3})


@pytest.mark.parametrize("dense_units", [0, 16])
@pytest.mark.parametrize("unfrozen_layers", [0, 10])
def test_the_finished_model_of_a_head_on_depths_answers_as_the_trained_network(
    worker: Worker, dense_units: int, unfrozen_layers: int
) -> None:
    config = LINEAR.model_copy(update={"dense_units": dense_units, "unfrozen_layers": unfrozen_layers})
    config, start = find_start(worker, config)
    run = worker.start(config, start=start)
    run.run_epoch()
    model = whole_model(worker.base(config), run.tail, config)
    pixels = worker.photos("validation", config.image_size).read(np.arange(5))
    expected = run.evaluate(worker.part("validation", config)).probabilities[:5]
    np.testing.assert_allclose(model.predict(pixels, verbose=0), expected, atol=1e-5)


def test_a_head_without_a_dense_layer_goes_on_from_its_state(worker: Worker) -> None:
    def run() -> FineTuning:
        config, start = find_start(worker, LINEAR)
        return worker.start(config, start=start)

    whole = run()
    whole.run_epoch()
    state, expected = whole.state(), whole.run_epoch()["val_loss"]
    resumed = run()
    resumed.load(state)
    assert resumed.run_epoch()["val_loss"] == expected


def test_the_heads_learning_rate_is_its_own(worker: Worker) -> None:
    def trained(**changes: object) -> list[np.ndarray]:
        config, start = find_start(worker, LINEAR.model_copy(update={"learning_rate": 1e-9, **changes}))
        run = worker.start(config, start=start)
        run.run_epoch()
        return [variable.numpy() for variable in (*run.tail.body.variables[:1], run.tail.head[0])]

    (still, same), (fixed, moved) = trained(), trained(head_learning_rate=1e-2)
    np.testing.assert_allclose(still, fixed, atol=1e-6)
    assert np.abs(moved - same).max() > 1e-3


def test_a_warm_head_begins_above_a_random_one_and_the_backbone_as_it_was(worker: Worker) -> None:
    config = LEARNS.model_copy(update={"head": "depths", "unfrozen_layers": 10, "head_start": "warm"})
    scores = []
    for each in (config.model_copy(update={"head_start": "random"}), config):
        resolved, start = find_start(worker, each)
        run = worker.start(resolved, start=start)
        scores.append(run.evaluate(worker.part("validation", resolved)).metrics.macro_f1)
    assert scores[1] > scores[0] + 0.2
    layer = next(layer for layer in run.tail.body.layers if layer.weights)
    for weight, value in zip(layer.weights, worker.base(config).get_layer(layer.name).weights, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("units", [10, 24])
def test_a_dense_layer_begins_with_the_classifiers_own_answers(units: int) -> None:
    draw = np.random.default_rng(0)
    kernel, bias = (draw.normal(size=shape).astype(np.float32) for shape in ((30, 5), (5,)))
    features = draw.normal(size=(50, 30)).astype(np.float32)
    dense, zero, last, behind = through_dense_layer(kernel, bias, units, seed=3)
    assert dense.shape == (30, units) and last.shape == (units, 5)
    answers = np.maximum(features @ dense + zero, 0) @ last + behind
    np.testing.assert_allclose(answers, features @ kernel + bias, atol=1e-4)


def test_a_dense_layer_needs_two_units_for_each_direction() -> None:
    one = np.ones((30, 1), np.float32)
    assert not through_dense_layer(np.eye(30, 5, dtype=np.float32), np.zeros(5), 9, seed=0)
    assert through_dense_layer(one @ one[:5].T, np.zeros(5), 2, seed=0)  # Five families, in one direction.


@pytest.mark.parametrize("dense_units", [0, 16])
def test_a_head_that_begins_with_the_probe_answers_as_it_does(worker: Worker, dense_units: int) -> None:
    config = LINEAR.model_copy(update={"dense_units": dense_units, "unfrozen_layers": 10, "head_start": "probe"})
    solution = find_probe(worker, config).solution
    config, start = find_start(worker, config)
    found = worker.start(config, start=start).evaluate(worker.part("validation", config)).probabilities
    logits = solution.logits(worker.pooled("validation", config, solution.depths))
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), atol=1e-4)
