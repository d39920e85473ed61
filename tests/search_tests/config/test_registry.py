"""search/config/registry.py: an entry is all that checks, help, progress, forecast and report need of a new kind."""

import subprocess
import sys

import pytest

from search.config.registry import SAMPLERS, STOP_RULES, either
from tests.checkout import ROOT

NEW = """
from search.config import registry
registry.SAMPLERS["halton"] = registry.SamplerKind("search.sampling.samplers:random", "a new one", learns=True)
registry.STOP_RULES["half"] = registry.StopRuleKind(
    "search.stopping.rules:HalvingRule", "a new rule", "stopped at half", lambda grace, factor, most: [most // 2]
)
from search.config.schema import sweep_config
given = {"name": "s", "dataset": "/d", "experiment": "/e", "warm_start": ["/x"]}
config = sweep_config({**given, "sampler": "halton", "early_stopping": {"kind": "half"}})
"""


@pytest.mark.parametrize(
    "check",
    [
        "from search.config.keys import keys_help\n"
        "text = ' '.join(keys_help().split()); assert 'halton: a new one' in text and 'half: a new rule' in text",
        "from search.sampling.samplers import make_sampler as m; assert m(config, 0)",
        "from search.stopping.rules import make_rule as m; assert m(config.early_stopping, 9, 'max', 0).rungs == [4]",
        "from search.forecast.forecast import expected_epochs as e; assert 4 < e(config.early_stopping, 9, 100) < 9",
        "from search.callbacks.progress_table import SweepView; assert SweepView.of(config, 1).rungs == (4,)",
        "from search.study.trial_end import STOPPED_BY_SCHEDULER; assert 'half' in STOPPED_BY_SCHEDULER",
        "from analysis.render.wording import STOP_WORDS; assert STOP_WORDS['half'] == 'stopped at half'",
        "from analysis.report.sections.rungs import planned_rungs as p\n"
        "assert p({'early_stopping': {'kind': 'half'}}, 9) == [4]",
    ],
)
def test_an_entry_is_enough(check: str) -> None:
    done = subprocess.run([sys.executable, "-c", NEW + check], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_registry_is_light() -> None:
    code = (
        "import sys, search.config.registry\n"
        "assert not {'pydantic', 'numpy', 'optuna', 'ray', 'torch', 'pandas'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_kind_says_what_it_is() -> None:
    assert all(kind.about for kind in (*SAMPLERS.values(), *STOP_RULES.values()))
    assert all(rule.words for rule in STOP_RULES.values())
    assert len({rule.words for rule in STOP_RULES.values()}) == len(STOP_RULES)


def test_a_choice_in_words() -> None:
    assert (either(["a"]), either(["a", "b"]), either("abc")) == ("a", "a or b", "a, b or c")
