"""Registry of samplers and stop rules: one entry each.

Light, so that help, checks and reports can read it: what makes a sampler or a rule is named as `module:name`, and found
by `pkgutil.resolve_name` when it is made.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

LEARNING = 0.6
"""With a sampler that learns, reduction_factor ** -LEARNING of the trials that are judged at a rung go on, by simulated
sweeps with TPE (tests/benchmarks/bench_forecast.py): half of them, not a third."""


@dataclass(frozen=True)
class SamplerKind:
    """A sampler: `build` makes it from a SweepConfig and a trial's seed, `about` stands in the help.

    `learns`: later trials tend to be better, after start-up trials at random; `several_objectives`: it takes two;
    `reads_stopped`: it learns from PRUNED trials as they are; `grid`: it combines points of all knobs, and ends with
    them; `needs`: a module that is not in requirements.txt, and the file that installs it.
    """

    build: str
    about: str
    learns: bool = False
    several_objectives: bool = True
    reads_stopped: bool = True
    grid: bool = False
    needs: tuple[str, str] | None = None


SAMPLERS = {
    "tpe": SamplerKind("search.sampling.samplers:tpe", "multivariate", learns=True),
    "random": SamplerKind("search.sampling.samplers:random", "independent draws"),
    "grid": SamplerKind("search.sampling.samplers:grid", "ranges then need `points` or a step", grid=True),
    "gp": SamplerKind(
        "search.sampling.samplers:gp",
        "a Gaussian process, after pip install -r requirements-gp.txt",
        learns=True,
        several_objectives=False,
        reads_stopped=False,
        needs=("torch", "requirements-gp.txt"),
    ),
}


def rung_epochs(grace: float, factor: float, max_epochs: int) -> list[int]:
    """Epochs of the rungs, rising; the last is below `max_epochs`, where a trial ends anyway.

    Counted up rather than by a logarithm: log(243) / log(3) is 4.99… in floating point, which loses a rung.
    """
    rungs: list[int] = []
    epoch = float(grace)
    while math.ceil(epoch) < max_epochs:
        if not rungs or math.ceil(epoch) > rungs[-1]:
            rungs.append(math.ceil(epoch))
        epoch *= factor
    return rungs


@dataclass(frozen=True)
class StopRuleKind:
    """A kind of early stopping: `rule` is the class, `about` stands in the help, `words` in reports.

    `rungs` returns the epochs at which trials are compared, from grace_epochs, reduction_factor and the most epochs;
    none for a rule that compares at every epoch, or never.
    `stops` is the share of trials that a rule without rungs is expected to end with their grace epochs.
    """

    rule: str
    about: str
    words: str
    rungs: Callable[[float, float, int], list[int]] = lambda *_: []
    stops: float = 0.0


STOP_RULES = {
    "asha": StopRuleKind(
        "search.stopping.rules:HalvingRule",
        "asynchronous successive halving, with rungs at grace_epochs times the powers of reduction_factor",
        "stopped by ASHA",
        rung_epochs,
    ),
    "hyperband": StopRuleKind(
        "search.stopping.rules:HalvingRule",
        "the same with every bracket, from stopping at the first rung to never stopping",
        "stopped by Hyperband",
        rung_epochs,
    ),
    "median": StopRuleKind(
        "search.stopping.rules:MedianRule",
        "worse than the median of the others' running means",
        "stopped by the median rule",
        stops=0.5,
    ),
    "none": StopRuleKind("search.stopping.rules:NeverStop", "every trial runs to its own end", "not stopped"),
}


def either(names: Iterable[str]) -> str:
    """Write names as a choice: "tpe, random or grid"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
