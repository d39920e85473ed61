"""trainables/final/outcome.py: the choice between the trainings, and the warnings."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.probe_example import probe_record
from tests.trainables_tests.training_example import LEARNS, handoff
from trainables.data.dataset import Dataset
from trainables.data.leaks import LeakProof
from trainables.final.commands import summary
from trainables.final.model_card import model_card
from trainables.final.options import FinalOptions
from trainables.final.outcome import Ensemble, LastFit, Outcome, Stage
from trainables.final.probe import ProbeStage
from trainables.training.class_balance import Balance, balance
from trainables.training.fine_tune import Evaluation, Metrics

PHOTOS = np.array([28, 21, 11, 8])


def evaluation(macro_f1: float) -> Evaluation:
    return Evaluation(Metrics(1.0, 0.9, 0.6, macro_f1), np.zeros((0, 4), np.float32))


def stage(name: str, validation: float, correction: Balance | None = None, counts: Any = None) -> Stage:
    run: Any = SimpleNamespace(config=LEARNS, balance=correction, counts=counts)
    return Stage(name, run, [], {}, evaluation(0.9), evaluation(validation))


@pytest.mark.parametrize(("after", "chosen"), [(0.4, "before"), (0.5, "after"), (0.6, "after")])
def test_the_training_with_the_better_validation_is_kept_the_later_one_where_both_are_equal(
    after: float, chosen: str
) -> None:
    # Test says the contrary, and is not asked.
    test = {"before": evaluation(after), "after": evaluation(0.5)}
    kept, because = Outcome([stage("before", 0.5), stage("after", after)], test, [0]).choice
    assert kept.name == chosen
    assert because == f"oversampling took validation macro F1 from 50.0% {'down ' * (after < 0.5)}to {after:.1%}"


def with_probe(trial: float, probe: float, hand_over: str = "better", tested: float = 0.5) -> Outcome:
    """An outcome with a probe, by the validation macro F1 of both; `tested` is the probe's on test."""
    found = ProbeStage(probe_record(), LEARNS, Any, evaluation(1.0), evaluation(probe))  # type: ignore[arg-type]
    test = {"before": evaluation(0.5), "probe": evaluation(tested)}
    last_fit = LastFit(("train", "validation"))
    return Outcome([stage("before", trial, balance("none", PHOTOS), PHOTOS)], test, [], found, hand_over, last_fit)


@pytest.mark.parametrize(
    ("trial", "probe", "hand_over", "handed_over"),
    [
        (0.61, 0.6, "better", "before"),
        (0.6, 0.6, "better", "probe"),
        (0.5, 0.6, "better", "probe"),
        (0.5, 0.6, "trial", "before"),
        (0.7, 0.6, "probe", "probe"),
    ],
)
def test_the_probe_is_handed_over_where_the_trial_does_not_beat_it_unless_asked_otherwise(
    trial: float, probe: float, hand_over: str, handed_over: str
) -> None:
    outcome = with_probe(trial, probe, hand_over)
    beats = "beats" if trial > probe else "does not beat"
    assert outcome.verdict == f"the trained model's validation macro F1, {trial:.1%}, {beats} the probe's, {probe:.1%}"
    chosen, because = outcome.handed_over
    assert chosen == handed_over
    asked = "it was asked for; " if hand_over == "probe" else ""
    untouched = "no family's validation F1 was below the threshold, so nothing was oversampled"
    assert because == (f"{asked}{outcome.verdict}" if chosen == "probe" else untouched)


@pytest.mark.parametrize(
    ("trial", "hand_over", "handed_over"),
    [(0.63, "better", "before"), (0.61, "better", "probe"), (0.61, "trial", "before"), (0.59, "better", "probe")],
)
def test_a_trial_that_beats_the_probe_by_chance_is_not_handed_over(
    trial: float, hand_over: str, handed_over: str
) -> None:
    outcome = replace(with_probe(trial, 0.6, hand_over), margin=0.021)
    assert outcome.handed_over[0] == handed_over
    doubt = ", but by no more than the standard error of the difference, 2.1 points"
    assert outcome.verdict.endswith(doubt) == (trial == 0.61)


@pytest.mark.parametrize(("right", "handed_over"), [(0.2, "before"), (0.95, "probe")])
def test_what_the_trial_has_to_gain_comes_from_the_validation_photos(
    small_dataset: Dataset, right: float, handed_over: str
) -> None:
    """The trial answers all photos; of a probe that misses one, that tells little, of one that misses most, a lot."""
    photos = small_dataset.photos("validation")
    labels = np.array([photo.label for photo in photos])
    found = with_probe(1.0, right)
    assert found.probe is not None

    def answer(model: Evaluation, guess: np.ndarray) -> Evaluation:
        return model._replace(logits=np.eye(len(small_dataset.class_names), dtype=np.float32)[guess])

    wrong = np.arange(len(labels)) < max(round(len(labels) * (1 - right)), 1)
    probe = answer(found.probe.validation, np.where(wrong, (labels + 1) % 4, labels))
    first = found.stages[0]._replace(validation=answer(found.stages[0].validation, labels))
    outcome = replace(found, stages=[first], probe=found.probe._replace(validation=probe)).with_margin(small_dataset)
    assert 0 < outcome.margin < 0.3
    assert outcome.handed_over[0] == handed_over
    assert replace(outcome, probe=None).with_margin(small_dataset).handed_over[0] == "before"


@pytest.mark.parametrize(
    ("together", "probe", "hand_over", "handed_over"),
    [
        (0.61, None, "better", "ensemble"),
        (0.6, None, "better", "before"),
        (0.65, 0.62, "better", "ensemble"),
        (0.65, 0.65, "better", "probe"),
        (0.65, 0.7, "trial", "ensemble"),
        (0.5, 0.55, "better", "before"),
    ],
)
def test_an_ensemble_is_handed_over_where_it_beats_the_one_training_and_the_probe(
    together: float, probe: float | None, hand_over: str, handed_over: str
) -> None:
    outcome = with_probe(0.6, probe or 0.0, hand_over)
    members = [stage("before", 0.6), stage("member_2", 0.55), stage("member_3", 0.58)]
    found = Ensemble(members, (2, 0, 1), evaluation(1.0), evaluation(together))
    outcome = replace(outcome, ensemble=found, probe=outcome.probe if probe else None)
    name, because = outcome.handed_over
    assert name == handed_over
    words = f"the mean of 2 of 3 trainings has a validation macro F1 of {together:.1%}, the first alone 60.0%"
    assert words in because or name == "probe"
    shares = {"ensemble": [2 / 3, 1 / 3], "before": [1.0], "probe": []}
    assert [share for _, share in outcome.handed_over_stages] == shares[handed_over]


@pytest.mark.parametrize(("tested", "alarmed"), [(0.71, True), (0.69, False)])
def test_a_probe_is_held_against_its_own_validation_score(small_dataset: Dataset, tested: float, alarmed: bool) -> None:
    written = metrics(with_probe(0.5, 0.6, tested=tested), small_dataset, score=0.1, metric="val_accuracy")
    assert (written["alarm"] or "").startswith("test macro F1 71.0% is far above the probe's own" if alarmed else "")
    assert (written["alarm"] is not None) == alarmed
    assert written["stages"]["probe"]["test"]["macro_f1"] == tested and written["stages"]["after"] is None
    assert written["probe"]["fitted_on"] == ["train", "validation"] and written["trial_chosen"] == "before"
    assert "handed over the probe" in " ".join(summary({**written, "weights": {"warning": None}}))


@pytest.mark.parametrize(
    ("test", "metric", "alarmed"),
    [(0.61, "val_macro_f1", True), (0.59, "val_macro_f1", False), (0.61, "val_accuracy", False)],
)
def test_only_a_test_score_far_above_the_sweeps_own_macro_f1_is_an_alarm(
    small_dataset: Dataset, test: float, metric: str, alarmed: bool
) -> None:
    photos = np.bincount([row.label for row in small_dataset.photos("train")])
    outcome = Outcome([stage("before", 0.5, balance("none", photos), photos)], {"before": evaluation(test)}, [])
    assert (metrics(outcome, small_dataset, score=0.5, metric=metric)["alarm"] is not None) == alarmed


def test_correcting_the_imbalance_twice_is_a_warning_that_the_command_prints(small_dataset: Dataset) -> None:
    photos = np.bincount([row.label for row in small_dataset.photos("train")])
    before_the_copies = balance("class_weights", photos)
    stages = [stage("before", 0.5), stage("after", 0.6, before_the_copies, photos * [1, 1, 3, 3])]
    outcome = Outcome(stages, {"before": evaluation(0.5), "after": evaluation(0.5)}, [2, 3])
    written = metrics(outcome, small_dataset)
    (warning,) = [line for line in written["warnings"] if "test photos say little" not in line]
    assert "grey_noise, red_square, which count up to 3.00 times" in warning
    assert f"warning: {warning}" in summary({**written, "weights": {"warning": None}})


def metrics(outcome: Outcome, dataset: Dataset, **changes: Any) -> dict[str, Any]:
    proof = LeakProof(fingerprint="f", photos={}, pairs=[], leaks=[], notes=[])
    return outcome.metrics(handoff(dataset, **changes), LEARNS, FinalOptions(), dataset, proof)


SECTIONS = [
    *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
    *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations"),
]


def family(name: str, test_photos: int, test_f1: float | None) -> dict[str, str]:
    score = "" if test_f1 is None else f"{test_f1:.6f}"
    return {"family": name, "train_photos": "20", "test_photos": str(test_photos), "test_f1_before": score}


def card_metrics(**changes: Any) -> dict[str, Any]:
    figures = {"accuracy": 0.6, "loss": 1.0, "cross_entropy": 0.9, "macro_f1": 0.55}
    values = {
        "stages": {"before": dict.fromkeys(("train", "validation", "test"), figures), "after": None},
        "chosen": "before",
        "chosen_because": "nothing was oversampled",
        "oversampled_families": [],
        "threshold": 0.3,
        "copies": 2,
        "sweep_metric": "val_macro_f1",
        "sweep_score": 0.58,
        "alarm": None,
        "leaks": {"passed": True},
        "versions": {"keras": "3.15.1"},
        "git_commit": None,
        "weights": {"kind": "file", "detail": "/home/someone/weights.h5", "warning": None},
        "config": {
            **{
                "backbone": "inception_v3",
                "image_size": 139,
                "unfrozen_layers": 31,
                "dropout": 0.3,
                "dense_units": 256,
            },
            **{"imbalance": "class_weights"},
            "augmentation": {
                **{"horizontal_flip": True, "vertical_flip": False, "rotation": 20.0},
                **{"zoom": 0.1, "brightness": 0.0, "contrast": 0.2},
            },
        },
    }
    return values | changes


def test_the_card_of_a_final_stage_has_the_standard_sections_and_its_figures(final: Path) -> None:
    card = (final / "model_card.md").read_text()
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == SECTIONS
    written = json.loads((final / "metrics.json").read_text())
    for splits in written["stages"].values():
        assert f"{splits['test']['accuracy']:.1%} | {splits['test']['macro_f1']:.1%}" in card
    assert all(name in card for name in written["oversampled_families"])
    assert "proved disjoint" in card


def test_no_folder_of_this_machine_is_in_it(small_dataset: Dataset) -> None:
    card = model_card("s", card_metrics(), small_dataset.manifest, [family("a", 9, 0.5)])
    assert "weights.h5" in card
    assert "/home/someone" not in card and str(small_dataset.manifest.source) not in card


def test_warnings_stand_before_all_else(small_dataset: Dataset) -> None:
    warned = card_metrics(alarm="test is far above validation", weights={"kind": "random", "warning": "random weights"})
    card = model_card("s", warned, small_dataset.manifest, [family("a", 9, 0.5)])
    first = card.index("## Model details")
    assert 0 < card.index("**Warning:** test is far above validation") < card.index("random weights") < first


def test_what_cannot_be_believed_is_named(small_dataset: Dataset) -> None:
    manifest = small_dataset.manifest.model_copy(update={"train_only_families": ["rare_one"]})
    families = [family("often", 9, 0.9), family("seldom", 2, 0.2), family("rare_one", 0, None)]
    card = model_card("s", card_metrics(leaks={"passed": False}), manifest, families)
    assert "Families with fewer than 5 test photos: 1;" in card
    assert "Never tested, for want of photos: rare_one" in card
    assert "NOT proved disjoint" in card
    assert card.index("| seldom | 20 | 2 | 20% |") < card.index("| often | 20 | 9 | 90% |")


def test_the_interval_of_accuracy_is_wilsons(small_dataset: Dataset) -> None:
    counts = {**small_dataset.manifest.counts, "test": {"a": 45}}
    manifest = small_dataset.manifest.model_copy(update={"counts": counts})
    # 27 of 45: (0.6 + z²/90 ± z·√(0.6·0.4/45 + z²/8100)) / (1 + z²/45) with z = 1.96.
    assert "accuracy 60.0% means 45.5% to 73.0%" in model_card("s", card_metrics(), manifest, [family("a", 45, 0.5)])


@pytest.mark.parametrize(("backbone", "says"), [("inception_v3", "last 31 layers"), ("simple_cnn", "all of it")])
def test_it_says_what_was_trained(small_dataset: Dataset, backbone: str, says: str) -> None:
    values = card_metrics()
    values["config"]["backbone"] = backbone
    assert says in model_card("s", values, small_dataset.manifest, [family("a", 9, 0.5)])


def test_names_stand_in_the_card_as_they_are_and_are_no_markup(small_dataset: Dataset) -> None:
    named = "a|b <img src=x> [c](http://d) `e`\n# f"
    families = [{**family("a", 9, 0.5), "family": named}]
    card = model_card(f"run {named}", card_metrics(), small_dataset.manifest, families)
    shown = r"a\|b &lt;img src=x&gt; \[c\](http://d) \`e\` # f"
    assert f"# Model card: run {shown}\n" in card and f"| {shown} |" in card


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (r"$\frac$", r"\$\\frac\$"),
        ("a|b", r"a\|b"),
        ("<b>x</b> &lt;", "&lt;b&gt;x&lt;/b&gt; &amp;lt;"),
        ("[x](y) `z` *w* _v_", r"\[x\](y) \`z\` \*w\* \_v\_"),
        ("chordata_felidae", "chordata_felidae"),
        ("鳥類\nx", "鳥類 x"),
    ],
)
def test_the_card_shows_any_name_as_it_is(name: str, shown: str, small_dataset: Dataset) -> None:
    card = model_card(name, card_metrics(), small_dataset.manifest, [family(name, 9, 0.5)])
    assert f"# Model card: {shown}\n" in card
    assert f"| {shown} | " in card
