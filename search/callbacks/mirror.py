"""Observer that wakes the mirror of an experiment's records."""

from search.experiment.mirror import Mirror
from search.study.trial_end import TrialEnd
from search.tune.observers import ObservedTrial, Observer
from search.tune.state import SweepState


class WakeMirror(Observer):
    """Has the mirror bring the study when a trial begins or ends, and ends the sweep when the URL is another driver's.

    Anything else is brought every half a minute (search/experiment/mirror.py).
    """

    def __init__(self, mirror: Mirror, sweep_state: SweepState) -> None:
        self._mirror = mirror
        self._sweep_state = sweep_state

    def began(self, trial: ObservedTrial) -> None:
        """Bring the study that names the trial."""
        self._mirror.wake()

    def ended(self, trial: ObservedTrial, end: TrialEnd | None) -> None:
        """Bring the study with the trial's end."""
        self._mirror.wake()

    def step(self) -> None:
        """Look whether the experiment is still ours."""
        if self._mirror.lost is not None:
            self._sweep_state.fail(self._mirror.lost)
