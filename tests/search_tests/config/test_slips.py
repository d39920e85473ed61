"""Numbers, YAML and paths that no one means: each is one line, at once and in little memory."""

import time
from pathlib import Path

import pytest

from search.config.file import read_sweep
from search.config.space import parse_space, values_of
from search.config.storage_url import parse_url
from search.sampling.suggestions import points_of
from search.stopping.rules import make_rule
from tests.search_tests.example import sweep
from trainables.errors import UserError, run_command


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (f"seed={2**32}", "seed: input should be less than 4294967296"),
        ("resources.gpus_per_trial=.nan", "resources.gpus_per_trial: input should be 'auto' or a finite number"),
        ("early_stopping.reduction_factor=.inf", "early_stopping.reduction_factor: input should be a finite number"),
        ("early_stopping.reduction_factor=1.0000000000001", "early_stopping.reduction_factor: input should be greater"),
        ("space.dense_units={low: 1, high: 1000000000}", "space.dense_units: input should be less than or equal to"),
        ("space.unfrozen_layers={low: 0, high: 1000000000}", "space.unfrozen_layers: input should be less than"),
        (f"budget.epochs={10**30}", "budget.epochs: must be at most 9007199254740992, not"),
        (f"trials={'9' * 5000}", "--set trials=999"),
        (f"trial={'[' * 3000}", "--set trial=[[["),
        ("experiment=~nosuchuser/x", "'~nosuchuser/x' can be no path here: "),
        ("store=~nosuchuser/x", "'~nosuchuser/x' can be no path here: "),
        ("warm_start=[~nosuchuser/x]", "'~nosuchuser/x' can be no path here: "),
        ("warm_start=[{storage: ~nosuchuser/x, study: s}]", "warm_start[0]: '~nosuchuser/x' can be no path here: "),
        (f"experiment=/tmp/{'x' * 5000}", "'/tmp/xxx"),
        ("experiment=/tmp/a\0b", "'/tmp/a\\x00b' can be no path here: embedded null byte"),
    ],
)
def test_a_slip_of_the_hand_is_one_line_at_once(tmp_path: Path, override: str, line: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(f"dataset: {tmp_path}\n")
    started = time.process_time()
    with pytest.raises(UserError) as raised:
        read_sweep(file, [override])
    assert str(raised.value).startswith(line) and "\n" not in str(raised.value)
    assert time.process_time() - started < 20


@pytest.mark.parametrize("text", ["space: " + "[" * 3000 + "]" * 3000, "space: " + "{a: " * 3000 + "}" * 3000])
def test_a_file_nested_too_deep_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"sweep\.yaml is not YAML: it is nested too deep$"):
        read_sweep(file)


@pytest.mark.parametrize("text", ["a: &a {x: 1}\ntrial: {<<: *a}\n", "trial: {<<: 3}\n"])
def test_merge_keys_which_yaml_1_2_does_not_have_are_unknown_keys(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(f"dataset: x\n{text}")
    with pytest.raises(UserError, match=r"unknown key '(<<|a)'"):
        read_sweep(file)


def test_a_range_of_very_many_values_is_taken_for_endless(tmp_path: Path) -> None:
    fine = {"low": 0.0, "high": 0.6, "step": 1e-9}
    (knob,) = parse_space({"dropout": fine}).values()
    assert values_of("dropout", knob) is None
    assert points_of(sweep(tmp_path, space={"dropout": fine})) is None
    with pytest.raises(UserError, match=r"space\.dropout: has 600,000,001 values, and a grid at most 100,000"):
        values_of("dropout", knob, grid=True)
    assert len(values_of("dropout", parse_space({"dropout": {**fine, "step": 0.1}})["dropout"]) or []) == 7


def test_the_most_rungs_that_may_be_asked_for_are_there_at_once(tmp_path: Path) -> None:
    config = sweep(tmp_path, early_stopping={"reduction_factor": 1.01}, trial={"epochs": 10_000})
    started = time.process_time()
    make_rule(config.early_stopping, config.max_epochs, config.mode, config.seed)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "url", ["postgresql:///db", "postgresql:///db?host=/var/run/postgresql", "postgresql://u@h/db"]
)
def test_a_url_by_a_socket_of_this_machine_keeps_its_slashes(url: str) -> None:
    assert parse_url(url).shown == url


def test_what_the_system_refuses_about_a_file_is_one_line_in_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        return len(Path("/tmp/" + "x" * 5000).read_text())

    assert run_command(main) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: /tmp/xxx") and said.endswith(": File name too long\n") and len(said) < 300
