"""trainables/final/ensemble.py: who answers together, and the final stage that hands them over as one model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainables_tests.conftest import Command
from tests.trainables_tests.final.test_retrain import read_metrics, table
from tests.trainables_tests.training_example import SMALL, handoff, unread
from trainables.data.dataset import Dataset
from trainables.data.images import decode_resized
from trainables.errors import UserError
from trainables.files.experiment import TENSORBOARD_FOLDER
from trainables.final import trainings
from trainables.final.ensemble import choose, joined
from trainables.final.options import FinalOptions
from trainables.final.outcome import ENSEMBLE, Outcome
from trainables.final.retrain import retrain
from trainables.inference.keras_model import load_classifier
from trainables.probe.head_start import find_start
from trainables.training.fine_tune import Evaluation, Metrics, macro_f1
from trainables.training.worker import Worker

LABELS = np.array([0, 0, 1, 1, 2, 2])
RIGHT = np.eye(3)[LABELS]


def wrong(rows: list[int], sure: float = 0.6) -> Any:
    """Probabilities that name all photos right, but for these, whose next family gets `sure`."""
    found = 0.8 * RIGHT + 0.1 * (1 - RIGHT)
    for row in rows:
        found[row] = (1 - sure) / 2
        found[row, (LABELS[row] + 1) % 3] = sure
    return found


def test_members_that_mend_each_other_are_taken_and_one_that_mends_nothing_is_not() -> None:
    useless = wrong([0, 1, 2, 3, 4, 5], sure=0.9)
    picks = choose(LABELS, [useless, wrong([0, 2]), wrong([1, 4])])
    assert picks[0] == 0 and picks[1] and picks[2]
    together = (picks[1] * wrong([0, 2]) + picks[2] * wrong([1, 4])) / sum(picks)
    assert macro_f1(LABELS, together.argmax(axis=1)) == 1 > macro_f1(LABELS, wrong([0, 2]).argmax(axis=1))


def test_equal_macro_f1_is_decided_by_cross_entropy_and_then_by_the_fewest() -> None:
    sure, unsure = 0.9 * RIGHT + 0.05 * (1 - RIGHT), wrong([])
    assert choose(LABELS, [unsure, sure]) == (0, 1)
    assert choose(LABELS, [sure, sure]) == (1, 0)


def test_a_member_is_taken_again_where_its_word_should_count_more() -> None:
    # Half of each leaves photo 2 wrong; two parts in three of the first mend it.
    picks = choose(LABELS, [wrong([0], sure=0.55), wrong([2, 4], sure=0.85)])
    assert picks[0] > picks[1] > 0


def test_the_figures_of_several_are_those_of_their_mean_and_one_keeps_its_own() -> None:
    own = Metrics(loss=7.0, cross_entropy=0.5, accuracy=0.6, macro_f1=0.6)
    first, second = (Evaluation(own, np.float32(np.log(wrong(rows)))) for rows in ([0, 2], [1, 4]))
    assert joined(LABELS, [first, second], [3, 0]) is first
    together = joined(LABELS, [first, second], [1, 3])
    expected = 0.25 * wrong([0, 2]) + 0.75 * wrong([1, 4])
    np.testing.assert_allclose(together.probabilities, expected, atol=1e-6)
    entropy = -np.log(expected[np.arange(6), LABELS]).mean()
    assert together.metrics.cross_entropy == together.metrics.loss == pytest.approx(entropy)
    assert together.metrics.macro_f1 == pytest.approx(macro_f1(LABELS, expected.argmax(axis=1)))


@pytest.fixture(scope="module")
def finals(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    """Folder and lines of a final stage that hands over two of three trainings, for each --refit.

    So few photos and epochs say nothing of who is better: what selection and validation decide is given.
    """
    found = {}
    with pytest.MonkeyPatch.context() as given:
        given.setattr(trainings, "choose", lambda labels, probabilities: (2, 0, 1))
        given.setattr(Outcome, "trained", property(lambda outcome: (ENSEMBLE, "it was given")))
        for refit in ("none", "train+validation"):
            said: list[str] = []
            out = tmp_path_factory.mktemp("ensemble") / "experiment" / "final"
            (out.parent / TENSORBOARD_FOLDER / "final_member_9").mkdir(parents=True)
            options = FinalOptions(threshold=0, epochs=2, ensemble=3, refit=refit)  # type: ignore[arg-type]
            retrain(handoff(unread(small_dataset), config=SMALL), out, options, said.append)
            found[refit] = out, said
    return found


@pytest.mark.parametrize(("refit", "stage"), [("none", "ensemble"), ("train+validation", "refit")])
def test_the_one_model_that_is_handed_over_answers_as_the_tables_say(
    finals: dict[str, tuple[Path, list[str]]], small_dataset: Dataset, refit: str, stage: str
) -> None:
    folder, _ = finals[refit]
    rows = [row for row in table(folder, "predictions.csv") if (row["stage"], row["split"]) == (stage, "test")]
    assert len(rows) == len(small_dataset.photos("test"))
    source = Path(small_dataset.manifest.source)
    classifier, names = load_classifier(folder), small_dataset.class_names
    pixels = np.stack([decode_resized((source / row["source"]).read_bytes(), SMALL.image_size) for row in rows])
    for given, row in zip(classifier.model.predict_on_batch(pixels), rows, strict=True):
        assert given[names.index(row["predicted"])] == pytest.approx(float(row["probability"]), abs=1e-3)
        assert given[names.index(row["family"])] == pytest.approx(float(row["probability_true"]), abs=1e-3)
    answers = list(classifier.answers([source / row["source"] for row in rows], top=1, coverage=0.9))
    assert [answer.guesses[0].family for answer in answers] == [row["predicted"] for row in rows]
    assert all(answer.held for answer in answers)
    if stage == "ensemble":  # After a last fit the guarantee, and with it what is unknown, is of the model before it.
        assert [str(int(answer.unknown)) for answer in answers] == [row["unknown"] for row in rows]


def test_it_has_a_row_of_its_own_everywhere(finals: dict[str, tuple[Path, list[str]]]) -> None:
    folder, said = finals["none"]
    metrics = read_metrics(folder)
    assert set(metrics["stages"]["ensemble"]) == {"train", "validation", "test"} and metrics["chosen"] == "ensemble"
    assert [row["picks"] for row in metrics["ensemble"]] == [2, 0, 1]
    assert [row["seed"] for row in metrics["ensemble"]] == [0, 1, 2]
    assert metrics["stages"]["before"]["test"] != metrics["stages"]["ensemble"]["test"]
    assert all(row["test_f1_ensemble"] and row["val_f1_ensemble"] for row in table(folder, "families.csv"))
    assert {row["stage"] for row in table(folder, "history.csv")} == {"before", "member_2", "member_3"}
    runs = {run.name for run in (folder.parent / TENSORBOARD_FOLDER).iterdir()}
    assert runs == {"final", "final_before", "final_member_2", "final_member_3"}
    card = (folder / "model_card.md").read_text()
    assert "**Ensemble:** it was given. Its trainings differ in their seeds and share the frozen part" in card
    assert "took each: 2, 1." in card
    assert "| the ensemble (kept) | test |" in card
    assert said[-1].startswith("reading test now") and sum(line.startswith("reading test") for line in said) == 1


def test_each_member_is_fitted_again_for_its_own_epochs(finals: dict[str, tuple[Path, list[str]]]) -> None:
    folder, said = finals["train+validation"]
    metrics = read_metrics(folder)
    own = [row["epoch"] for row in metrics["ensemble"] if row["picks"]]
    assert metrics["refit"] == {"splits": ["train", "validation"], "epochs": own, "tested": True}
    for words, epochs in zip(("last fit", "last fit of member 3"), own, strict=True):
        assert sum(line.startswith(f"{words}, epoch") for line in said) == epochs
    assert "refit" in metrics["stages"] and "test" in metrics["stages"]["ensemble"]
    told = ", ".join(map(str, own))
    assert f"for the {told} epochs that validation chose" in (folder / "model_card.md").read_text()


def test_explain_and_export_take_it(
    finals: dict[str, tuple[Path, list[str]]], small_dataset: Dataset, run: Command
) -> None:
    folder, _ = finals["none"]
    photo = next(Path(small_dataset.manifest.source).rglob("*.png"))
    done = run("explain", folder, photo, "--out", folder.parent / "explained")
    assert done.returncode == 0 and "Grad-CAM at the layer " in done.stdout, done.stderr
    done = run("export", folder, "--out", folder.parent / "exported")
    assert done.returncode == 0 and done.stdout.count("no probability differs") == 2, done.stderr


def test_further_members_pass_no_picture_through_the_frozen_part(worker: Worker, small_dataset: Dataset) -> None:
    config = SMALL.model_copy(update={"epochs": 2, "patience": 2})
    options, say = FinalOptions(ensemble=3), list[str]().append
    config, start = find_start(worker, config)
    first = trainings.train("after", worker, config, start, options, say, [1])
    worker.store_use.take()
    found = trainings.train_ensemble(worker, config, Outcome([first], {}, [1]), options, say)
    assert len(found.members) == 3 and worker.store_use.rows > 0
    assert worker.store_use.filled == 0
    kernels = [member.state["weight-0"] for member in found.members]
    assert not any(np.array_equal(kernels[0], other) for other in kernels[1:])


def test_a_trial_that_trains_all_of_its_backbone_has_nothing_to_share(small_dataset: Dataset, tmp_path: Path) -> None:
    config, said = SMALL.model_copy(update={"backbone": "simple_cnn"}), list[str]()
    with pytest.raises(UserError, match=r"^--ensemble 2: its members share what is frozen, and this trial trains all"):
        retrain(handoff(small_dataset, config=config), tmp_path / "e" / "final", FinalOptions(ensemble=2), said.append)
    assert not any("epoch" in line for line in said)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ensemble", "11"], "--ensemble: input should be less than or equal to 10, not 11"),
        (["--ensemble", "3", "--hand-over", "probe"], "--ensemble 3: --hand-over probe takes no training"),
    ],
)
def test_what_cannot_be_is_one_line(run: Command, tmp_path: Path, arguments: list[str], says: str) -> None:
    done = run("retrain", tmp_path / "best.json", *arguments)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done.stderr
