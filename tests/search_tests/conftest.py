"""One Ray for all tests of this package, and one sweep with every kind of fault."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.config.schema import SweepConfig
from search.records import Experiment, read_experiment
from search.sweep import run_sweep
from search.tune.session import ray_session
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import with_faults

FAULTY = {
    1: {"nan": 2, "quiet": True},
    2: {"kill_once": 2},
    3: {"raise": 2},
    4: {"nan": 2},
    5: {"kill": 1},
    6: {"setup": True},
}


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """A local Ray that every sweep of these tests finds running, with a GPU that is one in name only."""
    # Ray runs its workers at niceness 15, so that tests on a busy machine would take many times as long.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    with ray_session(None, gpus=1):
        yield


@pytest.fixture(scope="session")
def faulty_sweep(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> SweepConfig:
    """A finished sweep whose trials went wrong in every way, without early stopping that would hide it."""
    folder = tmp_path_factory.mktemp("faulty")
    changes = {"trials": 8, "seed": 3, "sampler": "random", "early_stopping": {"kind": "none"}, "checkpoint_every": 1}
    config = sweep(folder, name="faulty", trial={"epochs": 4}, **changes)
    run_sweep(config, with_faults(FAULTY))
    return config


@pytest.fixture(scope="session")
def faulty(faulty_sweep: SweepConfig) -> Experiment:
    """Its records."""
    return read_experiment(Path(faulty_sweep.experiment))
