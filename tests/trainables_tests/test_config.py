import copy
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ray import cloudpickle

from trainables.config import RunSettings, TrialConfig
from trainables.errors import one_line


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"learning_rte": 1}, "unknown key 'learning_rte'; the keys here are: augment_views, augmentation, backbone"),
        ({"learning_rate": 0}, "learning_rate: input should be greater than 0, not 0"),
        ({"dropout": 1.0}, "dropout: input should be less than 1, not 1.0"),
        ({"backbone": "vgg"}, "inception_v3"),
        ({"augmentation": {"shear": 1}}, "unknown key 'augmentation.shear'; the keys here are: brightness, contrast"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_what_would_be_valid(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as error:
        TrialConfig.model_validate(values)
    line = one_line(error.value, TrialConfig)
    assert says in line
    assert "\n" not in line


def test_the_defaults_are_the_studys() -> None:
    config = TrialConfig()
    ranges = config.augmentation
    assert (config.backbone, config.image_size, config.batch_size, config.l2) == ("inception_v3", 299, 32, 1e-3)
    assert (ranges.rotation, ranges.zoom, ranges.brightness, ranges.contrast) == (20, 0.1, 0.2, 0.2)
    assert ranges.horizontal_flip and ranges.vertical_flip


def test_weights_may_be_given_for_each_backbone() -> None:
    weights = {"inception_v3": "a.h5"}
    assert TrialConfig(weights=weights).backbone_weights == "a.h5"
    assert TrialConfig(weights=weights, backbone="densenet121").backbone_weights == "auto"
    assert TrialConfig(weights="random").backbone_weights == "random"


def test_what_a_trial_gets_survives_the_way_to_a_worker_and_cannot_be_changed() -> None:
    run = RunSettings(trial=3, dataset="s3://b/d", store=Path("/store"), threads=2, checkpoint_dir="/c", plan=(0, 31))
    there = cloudpickle.loads(cloudpickle.dumps({"run": copy.deepcopy(run)}))["run"]
    assert there == run and hash(there) == hash(run)
    with pytest.raises(FrozenInstanceError):
        there.threads = 3
