"""What the tests of the cluster package share."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """Commands of the package set RAY_AUTH_MODE for their process; a Ray that other tests start must not see it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
