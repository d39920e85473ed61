"""Shared by all tests: the slow marker, which tests run in one process under `-n`, and where the real photos are."""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT

SHARED = Path(os.environ.get("RARETUNE_SHARED", ROOT.parent / "shared"))

# Under `pytest -n 2` all tests of a file run in one process, so that what its fixtures build is built once. So do all
# files of these folders, which share a final stage or Keras models, and all files that use the one local Ray.
GROUP_OF_FOLDER = {
    **dict.fromkeys(("final", "inference"), "final stage"),
    **dict.fromkeys(("activations", "network", "training"), "networks"),
}
ON_RAY = re.compile(r"\b(ray_here|faulty|faulty_sweep): ")
# The longest groups begin first, so that all processes end at about the same time.
LONGEST = ("networks", "ray", "final stage")

_LEFT_OUT = pytest.StashKey[int]()


@cache
def group(file: Path) -> str:
    """Files of tests in one group run in one process."""
    if ON_RAY.search(file.read_text()):
        return "ray"
    return GROUP_OF_FOLDER.get(file.parent.name, str(file))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.stash[_LEFT_OUT] = len(slow)
    if hasattr(config, "workerinput"):  # One of pytest-xdist's processes.
        ranks = {name: rank for rank, name in enumerate(LONGEST)}
        items.sort(key=lambda item: ranks.get(group(item.path), len(ranks)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out whole groups; pytest-xdist's own `--dist loadgroup` does nothing with this version of pytest."""
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(config.rootpath / nodeid.partition("::")[0])

    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what one of pytest-xdist's processes has left out, which is the same in all of them."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, 0)


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
