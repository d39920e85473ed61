"""Shared by all tests: the slow marker, which tests run in one process under `-n`, and where the real photos are."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT

SHARED = Path(os.environ.get("RARETUNE_SHARED", ROOT.parent / "shared"))

# Under `pytest -n 2` all tests of a file run in one process, so that what its fixtures build is built once; so do all
# files that use one of these fixtures, and all files of these folders, which share Keras models.
GROUP_OF_FIXTURE = {"ray_here": "ray", "final": "final_stage", "tiny_model": "final_stage"}
GROUP_OF_FOLDER = dict.fromkeys(("activations", "network", "training"), "networks")
# The longest groups begin first, so that all processes end at about the same time.
LONGEST = ("final_stage", "ray", "networks")

_LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


@pytest.hookimpl(tryfirst=True)  # Before pytest-xdist, where it is there, takes its own defaults.
def pytest_cmdline_main(config: pytest.Config) -> None:
    option = config.option
    if getattr(option, "numprocesses", None) and option.dist == "no":
        option.dist, option.loadscopereorder = "loadgroup", False


@pytest.hookimpl(tryfirst=True)  # Before pytest-xdist reads the groups.
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.stash[_LEFT_OUT] = len(slow)
    if getattr(config.option, "loadgroup", False):
        _put_into_groups(items)


def _put_into_groups(items: list[pytest.Item]) -> None:
    groups = {item.path: GROUP_OF_FOLDER.get(item.path.parent.name, item.path.stem) for item in items}
    for item in items:
        for fixture in GROUP_OF_FIXTURE.keys() & set(getattr(item, "fixturenames", ())):
            groups[item.path] = GROUP_OF_FIXTURE[fixture]
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.path]))
    ranks = {group: rank for rank, group in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(groups[item.path], len(ranks)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a worker of pytest-xdist has left out, which is the same in all of them."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


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
