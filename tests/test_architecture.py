"""The rooms and layers of docs/architecture.md, held by reading the imports."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.structure import PACKAGES, modules, siblings

ALLOWED = {
    "search": {"search", "trainables"},
    "trainables": {"trainables"},
    "cluster": {"cluster"},
    "analysis": {
        "analysis",
        "search.config.registry",
        "search.records",
        "trainables.errors",
        "trainables.files.experiment",
        "trainables.files.output",
        "trainables.guarantee",
        "trainables.intervals",
        "trainables.network.backbone_table",
    },
}
MODULES = modules(ROOT)


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


# From the bottom up: a room imports from its own layer or a lower one of its package, never from a higher one.
LAYERS = {
    "trainables": (
        (
            *("errors", "device", "versions", "intervals", "guarantee", "taxonomy", "consent", "near_duplicates"),
            "network.backbone_table",
        ),
        ("files", "config", "command_line"),
        ("network", "handoff", "probe.solution"),
        ("data",),
        ("activations", "review", "inference"),
        ("training",),
        ("probe",),
        ("final",),
        ("trial", "probe.stage", "probe.commands"),
    ),
    "search": (
        ("config",),
        ("study", "experiment"),
        ("stopping", "records"),
        ("sampling",),
        ("tune",),
        ("forecast",),
        ("callbacks", "results"),
        ("sweep",),
        ("resume",),
    ),
    "analysis": (
        ("render", "data"),
        ("report.sections", "compare", "report.cautions"),
        ("report.summary",),
        ("report",),
    ),
}


def outermost(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(file: Path) -> None:
    package = file.relative_to(ROOT).parts[0]
    ours = {name for name in imports(file) if outermost(name) in PACKAGES}
    refused = {name for name in ours if not any((name + ".").startswith(allowed + ".") for allowed in ALLOWED[package])}
    assert not refused


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_ray_and_tensorflow_stay_where_they_belong(file: Path) -> None:
    where = file.relative_to(ROOT)
    outside = {outermost(name) for name in imports(file)}
    if where.parts[0] not in ("search", "cluster") and where != Path("trainables/trial.py"):
        assert "ray" not in outside
    if where.parts[0] != "trainables":
        assert not outside & {"tensorflow", "keras"}


def test_reading_records_loads_neither_ray_nor_tensorflow() -> None:
    code = "import sys, search.records; assert not {'ray', 'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("package", PACKAGES)
def test_help_loads_nothing_heavy(package: str) -> None:
    """So that it answers in under a second."""
    heavy = {"ray", "tensorflow", "keras", "optuna", "pandas", "sklearn", "matplotlib"}
    code = (
        "import runpy, sys\n"
        "sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('{package}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert not end.code\n"
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """Which module of ours imports which, also for types alone and inside functions."""
    names = {module(file): file for file in MODULES}
    found = {}
    for name, file in names.items():
        targets: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                targets |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        found[name] = {target for target in targets & names.keys() if not name.startswith(f"{target}.")} - {name}
    return found


def layer(name: str) -> int | None:
    package, _, inside = name.partition(".")
    places = [(room, height) for height, rooms in enumerate(LAYERS.get(package, ())) for room in rooms]
    held = [(room, height) for room, height in places if (inside + ".").startswith(room + ".")]
    return max(held)[1] if held else None  # The longest name is the innermost room.


def test_no_import_goes_up_a_layer() -> None:
    """What stands above all layers (`__main__`, a package's own `__init__`, the command line) may import any."""
    upwards = [
        f"{name} -> {target}"
        for name, targets in graph().items()
        for target in targets
        if outermost(name) == outermost(target)
        and (low := layer(name)) is not None
        and ((high := layer(target)) is None or high > low)
    ]
    assert upwards == []


def test_imports_form_no_circle() -> None:
    graphlib.TopologicalSorter(graph()).prepare()


def test_every_room_stands_in_a_layer() -> None:
    above = {"__main__", "__init__", "command_line", "commands", "dashboard"}
    rooms = {module(file) for file in MODULES if outermost(module(file)) in LAYERS}
    homeless = {name for name in rooms if "." in name and layer(name) is None and name.split(".")[-1] not in above}
    assert homeless == set()


def test_a_folder_holds_at_most_20_modules() -> None:
    assert {str(folder): files for folder, files in siblings(ROOT).items() if files > 20} == {}


def test_tests_mirror_the_rooms() -> None:
    """A test of search/tune/searcher.py lies in tests/search_tests/tune/"""
    for package in PACKAGES:
        here = ROOT / "tests" / f"{package}_tests"
        folders = {file.parent.relative_to(here) for file in here.rglob("test_*.py")}
        assert {str(folder) for folder in folders if not (ROOT / package / folder).is_dir()} == set()


def test_modules_stay_small() -> None:
    assert {str(file.relative_to(ROOT)) for file in MODULES if len(file.read_text().splitlines()) > 400} == set()
