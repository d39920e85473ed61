"""README and docs: their commands exist, their links lead somewhere, and README stays short."""

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cluster.submit import command as submitted
from search.config.file import read_sweep
from tests.architecture_tree import page
from tests.checkout import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
READ = [*PAGES, ROOT / "findings" / "README.md", ROOT / "CHANGELOG.md", ROOT / "tests" / "benchmarks" / "LOG.md"]

# Commands by their first words, and the test that runs one of them for real.
RUN_BY = {
    "make demo": "tests/end_to_end_tests/test_make_demo.py",
    "make test": ".ci/run",
    "make check": ".ci/run",
    "python -m trainables prepare": "tests/end_to_end_tests/test_main_job.py",
    "python -m trainables check": "tests/end_to_end_tests/test_main_job.py",
    "python -m trainables probe": "tests/trainables_tests/probe/test_commands.py",
    "python -m trainables retrain": "tests/end_to_end_tests/test_main_job.py",
    "python -m trainables predict": "tests/end_to_end_tests/test_main_job.py",
    "python -m trainables evaluate": "tests/trainables_tests/inference/test_evaluation.py",
    "python -m trainables explain": "tests/end_to_end_tests/test_main_job.py",
    "python -m trainables export": "tests/end_to_end_tests/test_main_job.py",
    "python -m trainables review": "tests/trainables_tests/review/test_commands.py",
    "python -m trainables next": "tests/trainables_tests/review/test_labelling.py",
    "python -m search run": "tests/end_to_end_tests/test_main_job.py",
    "python -m search resume": "tests/end_to_end_tests/test_sigkill.py",
    "python -m analysis report": "tests/end_to_end_tests/test_main_job.py",
    "python -m analysis compare": "tests/analysis_tests/test_main.py",
    "python -m analysis export": "tests/analysis_tests/test_main.py",
    "python -m analysis dashboard": "tests/end_to_end_tests/test_dashboards.py",
    "python -m cluster token": "tests/cluster_tests/test_launcher.py",
    "python -m cluster doctor": "tests/cluster_tests/onprem.py",
    "python -m cluster down": "tests/cluster_tests/onprem.py",
    "python -m cluster submit": "tests/end_to_end_tests/test_cluster.py",
    "python -m cluster list": "tests/end_to_end_tests/test_cluster.py",
    "python -m cluster logs": "tests/end_to_end_tests/test_cluster.py",
    "python -m cluster stop": "tests/end_to_end_tests/test_cluster.py",
    "python -m cluster resume": "tests/cluster_tests/test_main.py",
    "ray up": "tests/cluster_tests/onprem.py",
    "ray submit": "tests/cluster_tests/onprem.py",
    "ray rsync-down": "tests/end_to_end_tests/test_cluster.py",
}

# Prefixes of no consequence for what a command is.
SETUP = ("source .venv/bin/activate", "mkdir -p")


class Command(NamedTuple):
    """A command of a fenced block: where it is, its words, and whether the page says that it is for hand."""

    page: Path
    words: list[str]
    by_hand: bool

    @property
    def key(self) -> str:
        return " ".join(self.words[:4] if self.words[:2] == ["python", "-m"] else self.words[:2])


def commands(page: Path) -> Iterator[Command]:
    """Every command of the page; by hand where its comment, or the paragraph before its bash block, says so."""
    text = page.read_text()
    for block in re.finditer(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        paragraph = text[: block.start()].rstrip().rpartition("\n\n")[2]
        for line in block[1].replace("\\\n", " ").splitlines():
            for part in line.partition(" #")[0].split(" && "):
                if part.strip() and not part.startswith(("#", *SETUP)):
                    comment = line.partition(" #")[2]
                    yield Command(page, shlex.split(part), "by hand" in f"{paragraph} {comment}".lower())


ALL = [command for page in PAGES for command in commands(page)]
IDS = [f"{command.page.name}: {' '.join(command.words)[:70]}" for command in ALL]


class Parsed(Exception):
    """The command line was accepted."""


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every program end as soon as its own parser has accepted its words."""
    real = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, *given: object, **named: object) -> None:
        raise Parsed(vars(real(parser, *given, **named)))  # type: ignore[arg-type]

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)


def options(words: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the real parser makes of `python -m MODULE WORDS`; it raises SystemExit where it refuses them."""
    module = words[2] if "." in words[2] else f"{words[2]}.__main__"
    monkeypatch.setattr(sys, "argv", [module, *words[3:]])
    with pytest.raises(Parsed) as parsed:
        importlib.import_module(module).main()
    found: dict[str, object] = parsed.value.args[0]
    return found


@pytest.mark.parametrize("command", ALL, ids=IDS)
def test_a_command_is_run_by_a_test_or_marked_by_hand(command: Command) -> None:
    assert command.key in RUN_BY or command.by_hand, f"{command.page.name}: {' '.join(command.words)}"


@pytest.mark.parametrize(("key", "file"), RUN_BY.items())
def test_the_test_that_runs_a_command_names_it(key: str, file: str) -> None:
    text = (ROOT / file).read_text()
    assert key in text or all(f'"{word}"' in text or f"'{word}'" in text for word in key.split()[-1:]), (key, file)


@pytest.mark.parametrize("command", ALL, ids=IDS)
def test_the_parser_accepts_a_command(
    command: Command, parse_only: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sub-command and every option exist, for what `ray submit` and jobs carry too."""
    words = command.words
    if words[:2] == ["ray", "submit"]:
        words = submitted(words[words.index("--") + 1 :], "python")
    if words[:3] == ["python", "-m", "cluster"] and "--" in words:
        check(submitted(words[words.index("--") + 1 :], "python"), monkeypatch)
    if words[:2] == ["python", "-m"]:
        check(words, monkeypatch)


def check(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse a command of ours; a tool of the tests that has no parser only has to exist, with its options."""
    text = (ROOT / f"{words[2].replace('.', '/')}.py").read_text() if "." in words[2] else ""
    if text and ".parse_args()" not in text:
        assert all(f'"{word}"' in text for word in words[3:] if word.startswith("--"))
    elif "--help" not in words:
        given = options(words, monkeypatch)
        if given.get("sweep") and not text:
            # The keys and values of --set too; a placeholder stands for a file of the user's.
            overrides = [change.replace("inception_v3_imagenet_notop.weights.h5", "random") for change in given["set"]]  # type: ignore[attr-defined]
            read_sweep(ROOT / str(given["sweep"]), overrides)


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_the_checkout_exist(page: Path) -> None:
    """Whatever looks like a file below one of our folders, in text and commands."""
    named = re.findall(
        r"(?<![\w/.~-])((?:search|trainables|cluster|analysis|tests|docs|findings)/[\w./-]+\.(?:py|yaml|sh|md|json|png))\b",
        page.read_text(),
    )
    assert {path for path in named if not (ROOT / path).exists()} == set()


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert {file.name for file in (ROOT / "docs").iterdir() if f"docs/{file.name}" not in text} == set()


def test_the_readme_stays_short() -> None:
    readme = ROOT / "README.md"
    assert readme.stat().st_size <= 12_288
    assert len(readme.read_text().splitlines()) <= 160


def test_the_tree_and_the_layers_are_up_to_date() -> None:
    """After a module was added, moved or reworded: python -m tests.architecture_tree --write"""
    assert (ROOT / "docs" / "architecture.md").read_text() == page()


def test_each_find_says_what_it_is_about_and_can_be_run() -> None:
    finds = sorted((ROOT / "findings").glob("*.sh"))
    assert finds
    for file in finds:
        text = file.read_text()
        assert file.stat().st_mode & 0o111
        assert "mktemp -d" in text
        assert re.search(r"\w+(\[\w+\])?==\d", text)
        for part in ("# Version", "# Expected guess", "# Behaviour", "# Output seen", "# Exit status"):
            assert part in text, f"{file.name}: {part}"
        assert not re.search(r"-m (search|trainables|cluster|analysis)\b", text)
