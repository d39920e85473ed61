"""The dependency arrows of the README, held by reading the imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("search", "trainables", "cluster", "analysis")
ALLOWED = {
    "search": {"search", "trainables"},
    "trainables": {"trainables"},
    "cluster": {"cluster"},
    "analysis": {"analysis", "search.records", "trainables.errors", "trainables.files.experiment"},
}
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


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


def test_modules_stay_small() -> None:
    assert {str(file.relative_to(ROOT)) for file in MODULES if len(file.read_text().splitlines()) > 400} == set()
