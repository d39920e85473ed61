"""Results of the final stage: the trainings, the choice between them, metrics.json."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.data.leaks import LeakProof
from trainables.final.options import FinalOptions
from trainables.handoff import Handoff
from trainables.network.tail import State
from trainables.training.class_balance import double_corrections
from trainables.training.fine_tune import Evaluation, FineTuning, Result
from trainables.versions import git_commit, versions

ALARM_MARGIN = 0.1
"""A test score this far above the sweep's own validation score is not luck but, most likely, a leak."""


class Stage(NamedTuple):
    """One training of the final stage: `history` holds a result per epoch, `state` the best epoch's weights."""

    name: str
    run: FineTuning
    history: list[Result]
    state: State
    train: Evaluation
    validation: Evaluation


@dataclass(frozen=True)
class Outcome:
    """The training before oversampling, the one after it where a family was weak; their test figures by name."""

    stages: list[Stage]
    test: dict[str, Evaluation]
    oversampled: list[int]

    @property
    def choice(self) -> tuple[Stage, str]:
        """The training whose model is kept, and why; test has no say."""
        before, last = self.stages[0], self.stages[-1]
        if last is before:
            return before, "no family's validation F1 was below the threshold, so nothing was oversampled"
        first, second = before.validation.metrics.macro_f1, last.validation.metrics.macro_f1
        if second >= first:
            return last, f"oversampling took validation macro F1 from {first:.1%} to {second:.1%}"
        return before, f"oversampling took validation macro F1 from {first:.1%} down to {second:.1%}"

    def metrics(
        self, handoff: Handoff, config: TrialConfig, options: FinalOptions, dataset: Dataset, proof: LeakProof
    ) -> dict[str, Any]:
        """The content of metrics.json; `alarm` is a sentence where the test score is too good to be true, else None."""
        chosen, because = self.choice
        score = self.test[chosen.name].metrics.macro_f1
        alarm = None
        if handoff.metric == "val_macro_f1" and score > handoff.score + ALARM_MARGIN:
            alarm = (
                f"test macro F1 {score:.1%} is far above the sweep's own validation score {handoff.score:.1%}: "
                "look for photos that are in both before you believe it"
            )
        last = self.stages[-1].run
        stages = {
            stage.name: {
                "train": stage.train.metrics._asdict(),
                "validation": stage.validation.metrics._asdict(),
                "test": self.test[stage.name].metrics._asdict(),
            }
            for stage in self.stages
        }
        return {
            "format": 1,
            "stages": {"before": stages["before"], "after": stages.get("after")},
            "chosen": chosen.name,
            "chosen_because": because,
            "oversampled_families": [dataset.class_names[family] for family in self.oversampled],
            "threshold": options.threshold,
            "copies": options.copies,
            "sweep_metric": handoff.metric,
            "sweep_score": handoff.score,
            "alarm": alarm,
            "warnings": double_corrections(dataset, last.config.imbalance, last.balance, last.counts, self.oversampled),
            "dataset": {"folder": str(dataset.folder), "url": dataset.url, "fingerprint": dataset.fingerprint},
            "config": config.model_dump(),
            "leaks": {**proof.model_dump(), "passed": proof.passed},
            "versions": versions(),
            "git_commit": git_commit(),
        }
