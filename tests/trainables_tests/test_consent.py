"""trainables/consent.py: the warning first, then the question where a person sits."""

import io

import pytest

from trainables.consent import warn_and_ask
from trainables.errors import UserError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ask(monkeypatch: pytest.MonkeyPatch, answer: str | None, yes: bool = False) -> str:
    """What is printed; None for an answer is nobody at a terminal."""
    said = io.StringIO() if answer is None else Terminal()
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setattr("sys.stdin", io.StringIO() if answer is None else Terminal(answer))
    warn_and_ask("weights are random", yes, "give a file")
    return said.getvalue()


@pytest.mark.parametrize("answer", ["y\n", " YES \n"])
def test_a_person_who_agrees_is_warned_and_asked_once(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    assert ask(monkeypatch, answer) == "warning: weights are random\nGo on all the same? [y/N] "


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "yess\n"])
def test_anything_else_is_no(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    with pytest.raises(UserError, match=r"^not begun: give a file$"):
        ask(monkeypatch, answer)


def test_without_a_person_nothing_begins_unless_it_was_agreed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="nobody is here to ask: give a file, or --yes"):
        ask(monkeypatch, None)
    assert ask(monkeypatch, None, yes=True) == "warning: weights are random\n"
