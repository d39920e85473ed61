import os
from typing import Any

import pytest
import ray
from ray.tune.execution import class_cache

from search.tune.credentials import credentials_handed_on
from search.tune.session import ray_session
from trainables.config import AWS_CREDENTIALS
from trainables.trial import take_credentials

PLANTED = {"AWS_ACCESS_KEY_ID": "AKIAPLANTED0009", "AWS_SECRET_ACCESS_KEY": "planted/secret/0009"}


def taken() -> dict[str, Any]:
    for name in AWS_CREDENTIALS:  # As in a process of another node, which inherits nothing.
        os.environ.pop(name, None)
    take_credentials()
    return {name: os.environ[name] for name in AWS_CREDENTIALS if name in os.environ}


def test_a_trials_process_finds_what_its_driver_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AWS_CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    with ray_session("local"):
        ask = ray.remote(num_cpus=0)(taken)
        for name, value in PLANTED.items():
            monkeypatch.setenv(name, value)
        with credentials_handed_on():
            assert not class_cache.ENV_VARS_TO_PROPAGATE & set(AWS_CREDENTIALS), (
                "Ray Tune would write them into its logs"
            )
            assert ray.get(ask.remote()) == PLANTED
        assert ray.get(ask.remote()) == {}


def test_a_process_without_ray_or_with_credentials_of_its_own_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "its own")
    before = dict(os.environ)
    take_credentials()
    assert dict(os.environ) == before
