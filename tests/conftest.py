"""Shared by all tests: the slow marker, and where the real photos are."""

import os
from pathlib import Path

import pytest

from tests.checkout import ROOT

SHARED = Path(os.environ.get("RARETUNE_SHARED", ROOT / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    items[:] = [item for item in items if item not in slow]
    config.stash[_LEFT_OUT] = len(slow)


_LEFT_OUT = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.config.stash.get(_LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(f"{left_out} slow tests were left out; `--slow` runs them too")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real photos and weights; absent outside the team's machines, where the test skips."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{SHARED} is missing, and CI must not skip")
        pytest.skip(f"{SHARED} is not here: real photos and weights are not part of the project")
    return SHARED
