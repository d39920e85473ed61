"""What the final stage found: two trainings, and test read once."""

from dataclasses import dataclass
from typing import NamedTuple

from trainables.network.tail import State
from trainables.training.fine_tune import Evaluation, FineTuning, Result


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
    """Both trainings with their test figures; `after` is None where no family was below the threshold."""

    before: Stage
    after: Stage | None
    test: dict[str, Evaluation]
    oversampled: list[int]
    chosen: str
    chosen_because: str

    @property
    def stages(self) -> list[Stage]:
        """The trainings that took place."""
        return [self.before] if self.after is None else [self.before, self.after]
