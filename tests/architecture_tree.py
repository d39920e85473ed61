"""The generated parts of docs/architecture.md: the layers and the tree of the product's files.

python -m tests.architecture_tree             # print the tree
python -m tests.architecture_tree --write     # put both between their marks in docs/architecture.md
"""

import argparse
import ast
import re
from pathlib import Path

from tests.checkout import ROOT
from tests.structure import PACKAGES
from tests.test_architecture import LAYERS

PAGE = ROOT / "docs" / "architecture.md"

# Templates and JSON files have no comment to begin with.
WITHOUT_COMMENT = {
    "trainable_layers.json": "Which layers of each backbone have trainable weights, from its end",
    "style.html.j2": "The style sheet of all pages",
    "page.html.j2": "The frame of a page",
    "macros.html.j2": "A figure and a table in a page",
    "report.html.j2": "The report's template",
    "comparison.html.j2": "The comparison's template",
    "review.html.j2": "The contact sheet's template",
    "model_card.md.j2": "The model card's template",
}
COMMENT = {".yaml": r"# (.+)", ".sh": r"# (.+)", ".j2": r"\{#-?\s*(.+?)\s*(?:-?#\}|$)"}
LISTED = {".py", ".json", *COMMENT}


def phrase(file: Path) -> str:
    """What a file is, in its own words: the first sentence of its docstring or first comment, without the full stop."""
    if file.suffix == ".py":
        line = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]
    else:
        comment = re.compile(COMMENT.get(file.suffix, "$^"))
        line = next((found[1] for found in map(comment.match, file.read_text().splitlines()) if found), "")
        line = line or WITHOUT_COMMENT.get(file.name, "")
    return line.partition(". ")[0].rstrip(".:")


def entries(folder: Path, depth: int = 0) -> list[tuple[str, str]]:
    """A row for a folder, its files and then its rooms: the indented name, and the phrase."""
    init = folder / "__init__.py"
    rows = [("  " * depth + folder.name + "/", phrase(init) if init.exists() else "")]
    inside = sorted(
        path for path in folder.iterdir() if not path.name.startswith((".", "__pycache__")) and path != init
    )
    rows += [("  " * (depth + 1) + file.name, phrase(file)) for file in inside if file.suffix in LISTED]
    for room in inside:
        rows += entries(room, depth + 1) if room.is_dir() else []
    return rows


def tree() -> str:
    rows = [row for package in PACKAGES for row in entries(ROOT / package)]
    width = max(len(name) for name, _ in rows) + 2
    return "```\n" + "\n".join(f"{name:<{width}}{text}".rstrip() for name, text in rows) + "\n```"


def layers() -> str:
    """The table of tests/test_architecture.py: one row per package, the lowest layer first."""
    rows = [
        f"| `{package}` | {' < '.join(', '.join(f'`{room}`' for room in layer) for layer in heights)} |"
        for package, heights in LAYERS.items()
    ]
    return "\n".join(["| package | layers, the lowest first |", "|---|---|", *rows])


def page() -> str:
    """docs/architecture.md as it must be for this checkout."""
    text = PAGE.read_text()
    for name, made in (("layers", layers()), ("tree", tree())):
        begin, end = f"<!-- {name}: made by python -m tests.architecture_tree --write -->", f"<!-- end of {name} -->"
        before, after = text.partition(begin)[0], text.partition(end)[2]
        text = f"{before}{begin}\n\n{made}\n\n{end}{after}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.architecture_tree", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put both into docs/architecture.md")
    if parser.parse_args().write:
        PAGE.write_text(page())
    else:
        print(tree())


if __name__ == "__main__":
    main()
