"""How the sampler is best told of trials that diverge.

    python -m tests.benchmarks.bench_diverged --seeds 20

Sweeps of 40 trials on learning curves by a formula, two at once, stopped early by ASHA; a trial whose learning rate is
more than 10^0.2 above the best one for its depth diverges in one of its first four epochs. Printed for each way: the
share of the trials 20 to 39 that diverged, and the noise-free macro F1 of what the sweep would hand over.

  failed        FAIL, which TPE does not see
  with results  PRUNED with the epochs before, by the last of which TPE ranks it
  last of all   PRUNED without any, below all others: what Raretune does
  worst value   COMPLETE with the worst value of all others
"""

import argparse
import copy
import json
import math
import statistics
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.sampling import suggestions
from search.sampling.suggestions import as_seen
from search.study.study import ended_badly
from tests.benchmarks.bench_feedback import CurveSweep
from tests.benchmarks.learning_curves import noisy, quality
from tests.search_tests.example import sweep

TRIALS = 40
Seen = Callable[..., list[FrozenTrial]]


class EdgeSweep(CurveSweep):
    """The best learning rates lie next to those that diverge."""

    def values(self, config: dict[str, Any]) -> list[float]:
        values = noisy(config)
        if math.log10(config["learning_rate"]) > -2.6 - config["unfrozen_layers"] / 62 + 0.2:
            values[config["seed"] % 4] = math.nan
        return values


def failed(
    trials: list[FrozenTrial], directions: Sequence[StudyDirection], *, reads_stopped: bool
) -> list[FrozenTrial]:
    return as_seen([trial for trial in trials if not ended_badly(trial)], directions, reads_stopped=reads_stopped)


def with_results(trials: list[FrozenTrial], _: Sequence[StudyDirection], *, reads_stopped: bool) -> list[FrozenTrial]:
    return trials


def worst_value(trials: list[FrozenTrial], _: Sequence[StudyDirection], *, reads_stopped: bool) -> list[FrozenTrial]:
    worst = min((trial.value for trial in trials if trial.value is not None and not ended_badly(trial)), default=0.0)
    seen = []
    for trial in trials:
        seen.append(copy.copy(trial))
        if ended_badly(trial):
            seen[-1].state, seen[-1].values = TrialState.COMPLETE, [worst]
    return seen


WAYS: dict[str, Seen] = {
    "failed": failed,
    "with results": with_results,
    "last of all": as_seen,
    "worst value": worst_value,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--two", action="store_true", help="weigh the model's size too: the first and third way alone")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    for way, seen in WAYS.items():
        if options.two and way not in ("failed", "last of all"):
            continue
        shares, found = zip(*(play(seed, seen, two=options.two) for seed in range(options.seeds)), strict=True)
        spread = statistics.stdev(found) / math.sqrt(len(found)) if len(found) > 1 else 0.0
        row = {"way": way, "diverged": round(statistics.mean(shares), 3), "macro F1": round(statistics.mean(found), 4)}
        print(json.dumps({**row, "standard error": round(spread, 4)}), flush=True)


def play(seed: int, seen: Seen, *, two: bool) -> tuple[float, float]:
    """One sweep: the share of its trials 20 to 39 that diverged, and the quality of its best."""
    with tempfile.TemporaryDirectory() as folder, patch.object(suggestions, "as_seen", seen):
        objectives = ["val_macro_f1", "model_mb"] if two else []
        config = sweep(Path(folder), trials=TRIALS, seed=seed, trial={"epochs": 9}, objectives=objectives)
        game = EdgeSweep(config)
        trials = game.play(beside=2)
    late = [ended_badly(trial) for trial in trials[TRIALS // 2 :]]
    sound = {trial.number for trial in trials if not ended_badly(trial)}
    best = max((pair for pair in game.reported if pair[1]["run"].trial in sound), key=lambda pair: pair[0])
    return sum(late) / len(late), quality(best[1])


if __name__ == "__main__":
    main()
