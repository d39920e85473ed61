"""search/tune/memory.py: what Ray keeps of trials that are over."""

from ray.tune.experiment import Trial

from search.config import trial_plan
from search.tune.memory import forget_ended
from tests.search_tests.example import run_settings

RUN = run_settings(trial=7)


def trial(status: str) -> Trial:
    made = Trial("__fake", config={"learning_rate": 1e-3, "run": RUN}, stub=True)
    made.update_last_result({"epoch": 3, "val_loss": 0.5, "training_iteration": 3, "config": made.config, "done": True})
    made.set_status(status)
    return made


def test_an_ended_trial_keeps_its_number_and_little_else() -> None:
    ended = trial(Trial.TERMINATED)
    assert ended.metric_analysis
    assert forget_ended([ended]) == []
    assert ended.metric_analysis == {} == ended.run_metadata.metric_n_steps
    assert ended.last_result == {"trial_id": ended.trial_id, "epoch": 3, "training_iteration": 3, "done": True}
    assert trial_plan.run_settings(ended).trial == 7 and ended.config == {"run": RUN}


def test_a_trial_that_is_tried_again_keeps_everything() -> None:
    retried = trial(Trial.PENDING)
    assert forget_ended([retried]) == [retried]
    assert retried.metric_analysis and retried.config["learning_rate"] == 1e-3
    retried.set_status(Trial.ERROR)
    assert forget_ended([retried]) == []
    assert retried.metric_analysis == {}
