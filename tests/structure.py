"""The size and shape of the four packages, in one table: lines, files per folder, private helpers with one caller.

python -m tests.structure             # this checkout
python -m tests.structure OTHER       # another one, such as `git worktree add OTHER COMMIT`
"""

import ast
import statistics
import sys
from collections import Counter
from pathlib import Path

from tests.checkout import ROOT

PACKAGES = ("search", "trainables", "cluster", "analysis")


def modules(root: Path) -> list[Path]:
    return [file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))]


def siblings(root: Path) -> Counter[Path]:
    """Python files per folder."""
    return Counter(file.parent.relative_to(root) for file in modules(root))


def callers(file: Path) -> list[int]:
    """Of each private function and method of a module, how many places in the module name it."""
    tree = ast.parse(file.read_text())
    named = Counter(
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    )
    functions = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return [named[name] for name in functions if name.startswith("_") and not name.startswith("__")]


def measured(root: Path) -> dict[str, str]:
    """What the table shows."""
    files = modules(root)
    lines = [len(file.read_text().splitlines()) for file in files]
    functions = [
        node.end_lineno - node.lineno + 1
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    ]
    counts = [count for file in files for count in callers(file)]
    folder, most = siblings(root).most_common(1)[0]
    return {
        "modules": str(len(files)),
        "lines": str(sum(lines)),
        "lines of a module, median / p90 / max": _spread(lines),
        "lines of a function, median / p90 / max": _spread(functions),
        "private helpers": str(len(counts)),
        "with one caller": f"{sum(count == 1 for count in counts) / len(counts):.1%}",
        "most siblings": f"{most} in {folder}",
        "README.md": f"{len((root / 'README.md').read_bytes())} bytes, "
        f"{len((root / 'README.md').read_text().splitlines())} lines",
    }


def _spread(values: list[int]) -> str:
    return f"{statistics.median(values):.0f} / {statistics.quantiles(values, n=10)[-1]:.0f} / {max(values)}"


if __name__ == "__main__":
    for name, value in measured(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT).items():
        print(f"{name:<42}{value}")
