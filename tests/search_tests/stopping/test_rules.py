"""search/stopping/rules.py: when a trial is stopped, and that the record is enough to know."""

import math
import random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.config.registry import STOP_RULES, rung_epochs
from search.config.schema import EarlyStopping
from search.stopping.rules import HalvingRule, MedianRule, NeverStop, StopRule, make_rule

CURVES = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=9), min_size=1, max_size=12)
KINDS = st.sampled_from([*STOP_RULES])


def halving(max_epochs: int = 9, mode: Literal["max", "min"] = "max", **changes: object) -> HalvingRule:
    settings = EarlyStopping.model_validate({"kind": "asha", **changes})
    return HalvingRule(settings, max_epochs, mode, seed=0)


@pytest.mark.parametrize(
    ("grace", "factor", "most", "rungs"),
    [
        (1, 3, 9, [1, 3]),
        (1, 3, 10, [1, 3, 9]),
        (1, 3, 244, [1, 3, 9, 27, 81, 243]),
        (2, 2, 9, [2, 4, 8]),
        (1, 1.3, 4, [1, 2, 3]),
        (3, 3, 3, []),
        (1, 4, 1, []),
    ],
)
def test_rungs_are_at_powers_and_below_the_last_epoch(grace: int, factor: float, most: int, rungs: list[int]) -> None:
    assert rung_epochs(grace, factor, most) == rungs


def test_nobody_is_stopped_before_enough_others_have_been_there() -> None:
    rule = halving(min_results=3)
    assert [rule.judge(trial, 1, 1.0 - trial / 10) for trial in range(3)] == [None] * 3
    stop = rule.judge(3, 1, 0.1)
    assert stop is not None and (stop.rung, stop.value, stop.competed) == (1, 0.1, 3)


def test_the_cutoff_is_the_quantile_of_the_others_and_the_reason_says_so() -> None:
    rule = halving()
    for trial, value in enumerate([0.1, 0.2, 0.3, 0.4]):
        rule.judge(trial, 1, value)
    stop = rule.judge(9, 1, 0.29)
    assert stop is not None and stop.cutoff == pytest.approx(0.3) and stop.kind == "asha"
    assert stop.reason == (
        "its best value 0.2900 at epoch 1 is below 0.3000, the cutoff for the best 1/3 of 4 earlier results at rung 1"
    )
    assert rule.judge(10, 1, 0.31) is None


def test_a_tie_with_the_cutoff_goes_on() -> None:
    rule = halving()
    for trial in range(3):
        rule.judge(trial, 1, 0.5)
    assert rule.judge(3, 1, 0.5) is None


def test_the_best_so_far_is_judged_not_a_single_bad_epoch() -> None:
    rule = halving()
    for trial in range(3):
        for epoch in (1, 3):
            rule.judge(trial, epoch, 0.5)
    assert rule.judge(3, 1, 0.6) is None
    assert rule.judge(3, 3, 0.1) is None


def test_a_first_report_at_epoch_5_fills_every_rung_that_it_passed() -> None:
    rule = halving()
    rule.judge(0, 5, 0.4)
    rule.judge(0, 6, 0.9)
    assert rule.results == {(0, 1): {0: 0.4}, (0, 3): {0: 0.4}}


def test_a_minimised_metric_is_judged_the_other_way_round() -> None:
    rule = halving(mode="min")
    for trial, value in enumerate([1.0, 2.0, 3.0, 4.0]):
        rule.judge(trial, 1, value)
    stop = rule.judge(5, 1, 2.1)
    assert stop is not None and stop.cutoff == pytest.approx(2.0) and "is above 2.0000" in stop.reason
    assert rule.judge(6, 1, 1.9) is None


def test_brackets_leave_out_the_first_rungs_and_are_dealt_by_number_and_seed_alone() -> None:
    rule = halving(kind="hyperband", max_epochs=9)
    dealt = [rule.bracket(trial) for trial in range(3000)]
    assert dealt == [halving(kind="hyperband", max_epochs=9).bracket(trial) for trial in range(3000)]
    # Hyperband's proportions with two rungs: 9/3, 3/2 and 1/1.
    shares = [dealt.count(bracket) / 3000 for bracket in range(3)]
    assert shares == pytest.approx([3 / 5.5, 1.5 / 5.5, 1 / 5.5], abs=0.03)
    for trial in range(40):
        rule.judge(trial, 1, 0.5)
    assert {bracket for bracket, rung in rule.results if rung == 1} == {0}
    assert rule.brackets == 3 and halving(brackets=9).brackets == 2 and halving(max_epochs=1).brackets == 1


def test_the_last_bracket_of_hyperband_never_stops_anyone() -> None:
    rule = halving(kind="hyperband")
    last = [trial for trial in range(200) if rule.bracket(trial) == 2]
    for trial in range(200):
        stops = [rule.judge(trial, epoch, 1 - trial / 200) for epoch in range(1, 10)]
        assert trial not in last or stops == [None] * 9
    assert len(last) > 10


def test_the_median_rule_compares_the_best_with_the_others_running_means() -> None:
    rule = MedianRule(EarlyStopping(kind="median", grace_epochs=2, min_results=3), 9, "max", seed=0)
    for trial, level in enumerate([0.2, 0.4, 0.6]):
        assert rule.judge(trial, 1, level) is None
        rule.judge(trial, 2, level + 0.2)
    assert rule.judge(3, 1, 0.0) is None, "within the grace epochs"
    stop = rule.judge(3, 2, 0.49)
    assert stop is not None and (stop.kind, stop.competed) == ("median", 3)
    assert stop.cutoff == pytest.approx(0.5)
    rule.judge(4, 1, 0.51)
    assert rule.judge(4, 2, 0.0) is None, "its best is above the median"


def test_without_early_stopping_nobody_is_stopped() -> None:
    assert isinstance(make_rule(EarlyStopping(kind="none"), 9, "max", 0), NeverStop)
    assert NeverStop().judge(0, 1, -math.inf) is None


@pytest.mark.parametrize("kind", ["asha", "hyperband", "median"])
def test_a_trial_is_held_only_against_those_that_cost_no_more(kind: str) -> None:
    early = EarlyStopping.model_validate({"kind": kind, "min_results": 2})
    rule = make_rule(early, 9, "max", seed=0)
    for trial in range(30):
        assert rule.judge(trial, 1, 0.9, cost=90.0) is None
    assert [rule.judge(trial, 1, 0.1, cost=30.0) for trial in range(30, 60)] == [None] * 30, "they are smaller"
    stops = [rule.judge(trial, 1, 0.05, cost=90.0) for trial in range(60, 90)]
    known = [stop for stop in stops if stop is not None]
    assert known and all("at no higher cost" in stop.reason for stop in known)
    smaller = [rule.judge(trial, 1, 0.05, cost=30.0) for trial in range(90, 120)]
    assert all(stop is None or (stop.cutoff or 1.0) <= 0.1 for stop in smaller) and any(smaller)


def test_a_trials_cost_is_the_one_of_its_first_result() -> None:
    rule = halving(min_results=1)
    rule.judge(0, 1, 0.9, cost=10.0)
    rule.judge(0, 3, 0.9, cost=99.0)
    rule.judge(1, 1, 0.9, cost=20.0)
    stop = rule.judge(1, 3, 0.1, cost=20.0)
    assert stop is None, "its best is as good"
    assert rule.judge(2, 3, 0.1, cost=20.0) is not None


@settings(deadline=None)
@given(curves=CURVES, kind=KINDS, seed=st.integers(0, 9), costs=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=12))
def test_a_rule_replayed_from_the_record_decides_as_the_one_that_lived_through_it(
    curves: list[list[float]], kind: str, seed: int, costs: list[float]
) -> None:
    early = EarlyStopping.model_validate({"kind": kind, "min_results": 1})
    lived, replayed = make_rule(early, 9, "max", seed), make_rule(early, 9, "max", seed)
    trials = [(trial, dict(enumerate(values, 1)), costs[trial]) for trial, values in enumerate(curves)]
    reports = [(trial, epoch, value, cost) for trial, values, cost in trials for epoch, value in values.items()]
    _interleave(lived, reports, seed)
    for report in reports:  # As RuleReplay has it.
        replayed.judge(*report)
    verdicts = [[rule.judge(99, epoch, 0.5, 1.0) for epoch in range(1, 9)] for rule in (lived, replayed)]
    assert verdicts[0] == verdicts[1]


@settings(deadline=None)
@given(curves=CURVES, kind=KINDS)
def test_the_best_trial_is_never_stopped(curves: list[list[float]], kind: str) -> None:
    rule = make_rule(EarlyStopping.model_validate({"kind": kind, "min_results": 1}), 9, "max", 0)
    for trial, values in enumerate(curves):
        for epoch, value in enumerate(values, 1):
            rule.judge(trial, epoch, value)
    assert [rule.judge(99, epoch, 1.0) for epoch in range(1, 10)] == [None] * 9


def _interleave(rule: StopRule, reports: list[tuple[int, int, float, float]], seed: int) -> None:
    """Report in a random order that keeps each trial's epochs in order."""
    order = [trial for trial, *_ in reports]
    random.Random(seed).shuffle(order)
    queues = {trial: [report for report in reports if report[0] == trial] for trial in order}
    for trial in order:
        rule.judge(*queues[trial].pop(0))
