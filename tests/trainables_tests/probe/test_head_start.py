import numpy as np
import pytest

from tests.trainables_tests.training_example import LEARNS, SMALL
from trainables.inference.keras_model import whole_model
from trainables.probe.head_start import find_start
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
