"""search/tune/starting_weights.py: random weights are warned of before anything is computed."""

import pytest

from search.tune import starting_weights
from search.tune.starting_weights import check_starting_weights
from trainables.errors import UserError

AUTO = [("inception_v3", "auto"), ("inception_v3", "auto"), ("simple_cnn", "auto")]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, str]]]:
    """What a worker was asked for; it has no ImageNet weights, and no network."""
    found: list[list[tuple[str, str]]] = []

    def worker(wanted: list[tuple[str, str]]) -> list[str | None]:
        found.append(wanted)
        return [f"ImageNet weights for {name} are not here" for name, _ in wanted]

    monkeypatch.setattr(starting_weights, "_asked_of_a_worker", worker)
    return found


def test_without_weights_and_without_a_person_nothing_begins(
    asked: list[list[tuple[str, str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"^not begun, because nobody is here to ask: .*trial.weights=PATH.*--yes"):
        check_starting_weights(AUTO, yes=False)
    assert asked == [[("inception_v3", "auto")]]  # Once, and not of a network that has no pretrained weights.
    assert capsys.readouterr().err == "warning: ImageNet weights for inception_v3 are not here\n"


def test_yes_goes_on_after_the_warning(asked: list[list[tuple[str, str]]], capsys: pytest.CaptureFixture[str]) -> None:
    check_starting_weights(AUTO, yes=True)
    assert "warning: ImageNet weights for inception_v3" in capsys.readouterr().err


def test_weights_that_were_named_are_not_asked_about(
    asked: list[list[tuple[str, str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    check_starting_weights([("inception_v3", "/a/file.h5"), ("mobilenet_v2", "random")], yes=False)
    assert asked == []
    assert "random, as asked, for mobilenet_v2" in capsys.readouterr().out
