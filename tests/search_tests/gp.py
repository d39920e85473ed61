"""What the tests of `sampler: gp` need, which is not in requirements.txt."""

import os
from importlib.util import find_spec

import pytest


def check_installed(sampler: str) -> None:
    """Skip a test of gp where torch is not installed, but never in CI."""
    if sampler == "gp" and find_spec("torch") is None:
        reason = "torch is not installed (pip install -r requirements-gp.txt)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
