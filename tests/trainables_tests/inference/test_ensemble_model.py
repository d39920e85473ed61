"""trainables/inference/ensemble_model.py: several trainings in one model."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainables_tests.training_example import SMALL, random_backbone
from trainables.config import TrialConfig
from trainables.inference.ensemble_model import ensemble_model, joined_logits, member_of
from trainables.inference.explain import GradCam
from trainables.inference.export import export
from trainables.inference.formats import FORMATS
from trainables.inference.keras_model import load_classifier, save_model, whole_model
from trainables.network.backbones import cut_backbone
from trainables.network.tail import HeadStart, Tail, TailBackbone

CLASSES = 4
FORMS = {
    "study's head behind trained layers": {"image_size": 64, "unfrozen_layers": 10, "dense_units": 16},
    "study's head alone": {"image_size": 64, "unfrozen_layers": 0, "dense_units": 16},
    "several depths, the last ones trained": {
        "image_size": 64,
        "unfrozen_layers": 30,
        "head": "depths",
        "dense_units": 0,
    },
    "several depths, all frozen": {"image_size": 64, "unfrozen_layers": 0, "head": "depths", "dense_units": 8},
    "additions that are no layers": {"backbone": "convnext_tiny", "image_size": 64, "unfrozen_layers": 20},
}


def config_of(**changes: Any) -> TrialConfig:
    return SMALL.model_copy(update=changes)


def trained(
    config: TrialConfig, seeds: list[int], shares: list[float], classes: int = CLASSES
) -> tuple[Any, list[Any]]:
    """The ensemble of tails whose weights were moved at random, and each as a model of its own."""
    base = random_backbone(config.backbone, config.image_size)
    cut = cut_backbone(base, config, config.unfrozen_layers)
    tail = Tail(TailBackbone(base, cut, classes, "adam"), config.dense_units)
    members, models = [], []
    for seed, share in zip(seeds, shares, strict=True):
        chance = np.random.default_rng(seed)
        standard = [chance.normal(size=tail.body.channels), chance.uniform(0.5, 2, tail.body.channels)]
        tail.reset(seed, HeadStart(standard if cut.depths else ()))
        for variable in tail.variables:
            # Random backbones give small features: a head must be moved far to answer otherwise.
            scale = 1.0 if any(variable is each for each in tail.head) else 0.05
            variable.assign(variable.numpy() + chance.normal(0, scale, variable.shape))
        members.append(member_of(tail, share))
        models.append(whole_model(base, tail, config))
    return ensemble_model(base, cut, config, members), models


def photos(config: TrialConfig, count: int = 5) -> Any:
    shape = (count, config.image_size, config.image_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("form", FORMS)
def test_its_answer_is_the_weighted_mean_of_its_members(form: str, tmp_path: Path) -> None:
    config = config_of(**FORMS[form])
    together, models = trained(config, [0, 1, 2], [0.5, 0.3, 0.2])
    pixels = photos(config)
    each = [model.predict_on_batch(pixels) for model in models]
    assert np.abs(each[0] - each[1]).max() > 0.05
    expected = 0.5 * each[0] + 0.3 * each[1] + 0.2 * each[2]
    np.testing.assert_allclose(together.predict_on_batch(pixels), expected, atol=1e-5)
    save_model(together, ("a", "b", "c", "d"), config, tmp_path)
    np.testing.assert_allclose(load_classifier(tmp_path).model.predict_on_batch(pixels), expected, atol=1e-5)
    # What asks for the logits before the last softmax multiplies what goes into the last layer.
    last = together.layers[-1]
    np.testing.assert_array_equal(last.kernel.numpy(), np.eye(CLASSES))


def test_the_frozen_part_is_there_once() -> None:
    config = config_of(**FORMS["study's head behind trained layers"])
    together, models = trained(config, [0, 1, 2], [0.5, 0.3, 0.2])
    base = random_backbone(config.backbone, config.image_size)
    cut = cut_backbone(base, config, config.unfrozen_layers)
    behind = TailBackbone(base, cut, CLASSES, "adam").model.count_params()
    head = models[0].count_params() - base.count_params()
    last = CLASSES * (CLASSES + 1)
    assert together.count_params() == base.count_params() + 2 * behind + 3 * head + last


def test_logits_of_one_member_stay_what_they_are_and_those_of_several_are_of_the_mean() -> None:
    chance = np.random.default_rng(0)
    first, second = chance.normal(0, 300, (2, 6, 4))  # Far apart: a float32 probability of the smaller ones is 0.
    np.testing.assert_allclose(joined_logits([first], [1.0]), first, atol=1e-9)
    np.testing.assert_allclose(joined_logits([first, first], [0.3, 0.7]), first, atol=1e-9)
    together = joined_logits([first / 300, second / 300], [0.25, 0.75])
    softmax = [np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in (first / 300, second / 300, together)]
    np.testing.assert_allclose(softmax[2], 0.25 * softmax[0] + 0.75 * softmax[1])
    energies = [np.log(np.exp(each).sum(axis=1)) for each in (first / 300, second / 300, together)]
    np.testing.assert_allclose(energies[2], 0.25 * energies[0] + 0.75 * energies[1])


@pytest.mark.parametrize("form", ["study's head behind trained layers", "several depths, the last ones trained"])
def test_grad_cam_of_equal_members_is_that_of_one_and_looks_at_what_they_share(form: str) -> None:
    config = config_of(**{**FORMS[form], "image_size": 96})
    together, (alone, _) = trained(config, [3, 3], [0.4, 0.6])
    pixels, labels = photos(config), [0, 1, 2, 3, 0]
    one, both = GradCam(alone), GradCam(together)
    assert (both.layer, both.cells) == (one.layer, one.cells)
    np.testing.assert_allclose(both.heat(pixels, labels), one.heat(pixels, labels), atol=1e-3)


def test_every_format_takes_it(tmp_path: Path) -> None:
    config = config_of(**FORMS["several depths, the last ones trained"])
    together, _ = trained(config, [0, 1], [0.5, 0.5])
    (tmp_path / "final").mkdir()
    save_model(together, ("a", "b", "c", "d"), config, tmp_path / "final")
    exports = export(tmp_path / "final", list(FORMATS), tmp_path / "exported")
    assert exports.failed == {}
    assert len(exports.written) == len(FORMATS)


def fastest(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Processor seconds of each way, the least of several rounds in which they take turns, after one that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            way()
            seconds[name].append(time.process_time() - started)
    return {name: min(taken[1:]) for name, taken in seconds.items()}


def test_five_heads_behind_one_cut_answer_nearly_as_fast_as_one() -> None:
    config = config_of(image_size=128, unfrozen_layers=0, dense_units=64)
    together, models = trained(config, [0, 1, 2, 3, 4], [0.2] * 5, classes=50)
    pixels = photos(config, 32)
    ways = {"together": together, "alone": models[0]}
    seconds = fastest({name: lambda model=model: model.predict_on_batch(pixels) for name, model in ways.items()}, 5)
    # 1.2 is promised; five models would be 5.
    assert seconds["together"] / seconds["alone"] < 1.6, seconds
