import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from analysis.compare.candidates import Candidate, candidates
from analysis.compare.differences import (
    Difference,
    SeedScores,
    differences,
    model_verdict,
    race,
    same_photos,
    seed_difference,
    seed_scores,
    verdicts,
)
from tests.analysis_tests.example import make_example
from trainables.intervals import Interval

FAMILIES = [f"family{number}" for number in range(10)]


def test_predictions(skill, seed=0, photos=400, first="p"):
    """Predictions of a model that names `skill` of the photos right."""
    chance = np.random.default_rng(seed)
    family = np.array(FAMILIES)[np.arange(photos) % len(FAMILIES)]
    right = chance.random(photos) < skill
    wrong = np.array(FAMILIES)[(np.arange(photos) + 1) % len(FAMILIES)]
    ids = [f"{first}{number}" for number in range(photos)]
    return pd.DataFrame({"photo_id": ids, "family": family, "predicted": np.where(right, family, wrong)})


test_predictions.__test__ = False


class Model(Candidate):
    """A candidate that is nothing but its test predictions."""

    @property
    def test(self):
        return self.final

    @property
    def dataset(self):
        return None


def model(label, predictions):
    return Model(label, None, None, predictions)


def test_a_model_that_is_far_better_is_called_better():
    (found,) = differences([model("a", test_predictions(0.5)), model("b", test_predictions(0.8, seed=1))])
    assert found.paired
    assert found.macro_f1.low > 0
    assert re.match(r"b is better than a: its test macro F1 is \d\d\.\d points higher \(95", model_verdict(found))
    assert f"b alone names {found.only_other} right, a alone {found.only_first}" in model_verdict(found)


def test_a_model_that_is_far_worse_is_called_worse():
    (found,) = differences([model("a", test_predictions(0.8)), model("b", test_predictions(0.5, seed=1))])
    assert found.macro_f1.high < 0
    assert "b is worse than a: its test macro F1 is" in model_verdict(found)
    assert "−" in model_verdict(found).partition("interval")[2]
    assert "is −" not in model_verdict(found)


@pytest.mark.parametrize(("photos", "reach"), [(600, 0.012), (12, 0.5)])
def test_the_same_predictions_differ_by_nothing_and_few_photos_prove_little(photos: int, reach: float):
    first = test_predictions(0.7, photos=photos)
    (found,) = differences([model("a", first), model("b", first)])
    value, low, high = found.macro_f1
    assert value == 0 and -reach < low < -reach / 4 and reach / 4 < high < reach
    assert "cannot be told apart" in model_verdict(found)


def test_equal_skill_is_rarely_called_a_difference():
    called = 0
    for seed in range(10):
        first, other = test_predictions(0.7, seed=seed, photos=100), test_predictions(0.7, seed=100 + seed, photos=100)
        (found,) = differences([model("a", first), model("b", other)])
        called += not found.macro_f1.low <= 0 <= found.macro_f1.high
    assert called <= 3


def test_pairing_sees_what_separate_intervals_do_not():
    """b is a with one wrong answer in twenty put right: on other photos that is lost in the noise."""
    first = test_predictions(0.7)
    mended = first.copy()
    wrong = mended.index[mended["predicted"] != mended["family"]][::3]
    mended.loc[wrong, "predicted"] = mended.loc[wrong, "family"]
    (paired,) = differences([model("a", first), model("b", mended)])
    (apart,) = differences([model("a", first), model("b", mended.assign(photo_id="q" + mended["photo_id"]))])
    assert paired.macro_f1.low > 0
    assert apart.macro_f1.high - apart.macro_f1.low > 1.5 * (paired.macro_f1.high - paired.macro_f1.low)
    assert not apart.paired
    assert "judged on different photos" in model_verdict(apart)


def test_photos_are_the_same_only_if_their_families_are_too():
    first = test_predictions(0.7, photos=20)
    assert len(same_photos(first, first.sample(frac=1, random_state=0))) == 20
    assert same_photos(first, first.assign(family="other")) is None
    assert same_photos(first, first.head(19)) is None
    assert same_photos(first.drop(columns="photo_id"), first) is None


def test_of_three_each_is_held_against_the_first_with_wider_intervals():
    models = [model(name, test_predictions(0.7, seed=seed)) for seed, name in enumerate("abc")]
    found = differences(models)
    assert [(each.first, each.label) for each in found] == [("a", "b"), ("a", "c")]
    assert found[0].level == pytest.approx(0.975)
    (alone,) = differences(models[:2])
    assert found[0].macro_f1.high - found[0].macro_f1.low > alone.macro_f1.high - alone.macro_f1.low
    assert "97.5" in model_verdict(found[0])


def test_one_model_has_nothing_to_be_held_against():
    assert differences([model("a", test_predictions(0.7)), model("b", pd.DataFrame())]) == []


def test_words_for_a_difference_that_may_be_nothing():
    found = Difference("a", "b", Interval(0.004, -0.012, 0.02), True, 642, 40, 45, 0.95)
    assert model_verdict(found).startswith(
        "b and a cannot be told apart: test macro F1 differs by +0.4 points (95\u202f% interval −1.2 to +2.0)."
    )


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Three sweeps that differ in the seed only; the first has a final model."""
    folder = tmp_path_factory.mktemp("seeds")
    made = [make_example(folder / f"s{seed}", trials=6, seed=seed, final=seed == 1, families=6) for seed in (1, 2, 3)]
    for seed, example in enumerate(made, start=1):
        sweep = example.experiment / "sweep.yaml"
        sweep.write_text(sweep.read_text().replace("seed: 7", f"seed: {seed}"))
    return candidates([example.experiment for example in made])


def test_seeds_of_one_sweep_give_a_mean_with_an_interval(seeds):
    (group,) = seed_scores(seeds)
    values = [seed.data.best_value for seed in seeds]
    assert group.values == tuple(values)
    assert group.mean.value == pytest.approx(np.mean(values))
    half = 4.302653 * np.std(values, ddof=1) / 3**0.5  # the t table: 2 degrees of freedom
    assert group.mean.high - group.mean.value == pytest.approx(half, rel=1e-5)


def test_two_groups_of_seeds_are_told_apart_only_by_more_than_their_spread():
    def group(*values):
        return SeedScores(("x",) * len(values), values, Interval(float(np.mean(values)), 0, 0))

    apart = seed_difference(group(0.70, 0.71, 0.72), group(0.80, 0.81, 0.82))
    assert apart.value == pytest.approx(0.1)
    assert apart.low > 0
    near = seed_difference(group(0.70, 0.75, 0.80), group(0.72, 0.77, 0.82))
    assert near.low < 0 < near.high
    assert seed_difference(group(0.7, 0.7), group(0.8, 0.8)).low == pytest.approx(0.1)


def test_a_race_never_falls_and_ends_with_all_epochs(seeds):
    run = race(seeds[0])
    assert all(np.diff(run["best"]) >= 0)
    assert run["epochs"].iloc[-1] == int(seeds[0].data.frames.trials["epochs"].sum())
    assert run["best"].iloc[-1] == seeds[0].data.best_value


def test_what_cannot_be_said_is_said_to_be_so(seeds):
    said = " ".join(verdicts(seeds))
    assert "s2/experiment and s3/experiment have no final model. `python -m trainables retrain` makes one" in said
    assert "differ in nothing but the seed: best validation macro F1" in said
    assert "Best validation macro F1 in the sweeps: s1/experiment" in said
    assert "the datasets differ" not in said


def test_what_two_sweeps_set_otherwise_is_said(example, copied):
    file = copied / "sweep.yaml"
    sweep = yaml.safe_load(file.read_text())
    sweep["trial"]["epochs"], sweep["early_stopping"]["kind"] = 27, "none"
    file.write_text(yaml.safe_dump(sweep))
    first, other = candidates([example.experiment, copied])
    (said,) = [sentence for sentence in verdicts([first, other]) if "differs from" in sentence]
    assert f"trial.epochs (27 for {first.own_settings['trial']['epochs']})" in said
    assert "early_stopping.kind (none for asha)" in said
    assert "seed" not in said and "name" not in said


def test_other_data_is_another_question(seeds, tmp_path):
    other = Path(shutil.copytree(seeds[2].folder, tmp_path / "other"))
    handoff = other / "best.json"
    handoff.write_text(handoff.read_text().replace(f"{7:064x}", f"{8:064x}"))
    changed = candidates([seeds[1].folder, other])
    assert seed_scores(changed) == []
    assert "Warning: the datasets differ" in " ".join(verdicts(changed))


def test_a_model_of_other_families_is_not_called_worse():
    few = test_predictions(0.99, photos=60)
    few = few[few["family"].isin(FAMILIES[:3])].assign(predicted=lambda rows: rows["family"])
    models = [model("few", few), model("many", test_predictions(0.5)), model("few again", few)]
    (found,) = differences(models)
    assert found.label == "few again"
    said = " ".join(verdicts(models[:2]))
    assert "worse" not in said and "lower" not in said
    assert "many names 10 families, few 3, and 3 are the same." in said
    assert "neither is called better" in said


def test_photos_of_one_group_count_as_one():
    """The same 40 photos ten times over: what is not told apart on 40 is not told apart on 400 copies."""
    first, other = test_predictions(0.7, photos=40), test_predictions(0.8, seed=1, photos=40)
    models = []
    for label, each in (("a", first), ("b", other)):
        copies = [each.assign(group=each["photo_id"], photo_id=each["photo_id"] + f"-{copy}") for copy in range(10)]
        models.append(model(label, pd.concat(copies, ignore_index=True)))
    (grouped,) = differences(models)
    apart = [model(each.label, each.test.drop(columns="group")) for each in models]
    (single,) = differences(apart)
    width, narrow = (found.macro_f1.high - found.macro_f1.low for found in (grouped, single))
    assert narrow < 0.5 * width
