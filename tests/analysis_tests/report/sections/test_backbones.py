import pandas as pd
import pytest

from analysis.data.frames import EPOCH_COLUMNS, TRIAL_COLUMNS, Frames
from analysis.render.svg import WIDE
from analysis.report.sections.backbones import describe, draw, models


@pytest.fixture
def backbones() -> Frames:
    """Two backbones, the first with two trials; the best epoch is not the last."""
    trials = pd.DataFrame(
        [
            {"trial": 0, "best_epoch": 1, "value": 0.3, "param_backbone": "inception_v3"},
            {"trial": 1, "best_epoch": 2, "value": 0.5, "param_backbone": "inception_v3"},
            {"trial": 2, "best_epoch": 1, "value": 0.1, "param_backbone": "simple_cnn"},
            {"trial": 3, "best_epoch": None, "value": None, "param_backbone": "densenet121"},
        ],
        columns=[*TRIAL_COLUMNS, "param_backbone"],
    )
    scores = [(0, 1, 0.3), (0, 2, 0.2), (1, 1, 0.4), (1, 2, 0.5), (1, 3, 0.45), (2, 1, 0.1)]
    epochs = pd.DataFrame(
        [
            {"trial": trial, "epoch": epoch, "val_macro_f1": value, "val_accuracy": value + 0.01, "train_loss": 2.0}
            for trial, epoch, value in scores
        ],
        columns=list(EPOCH_COLUMNS),
    )
    return Frames(trials, epochs)


def test_each_backbone_stands_once_with_its_best_trial_at_its_best_epoch(backbones: Frames) -> None:
    found = models(backbones)
    assert found is not None
    assert list(found.index) == ["inception_v3", "simple_cnn"]
    assert found["val_macro_f1"].tolist() == [0.5, 0.1]
    assert found["train_loss"].tolist() == [2.0, 2.0]


def test_a_sweep_over_other_knobs_has_no_such_table(backbones: Frames) -> None:
    assert models(Frames(backbones.trials.drop(columns="param_backbone"), backbones.epochs)) is None


def test_the_picture_says_in_words_what_it_shows(backbones: Frames) -> None:
    found = models(backbones)
    assert found is not None
    assert "inception_v3: validation accuracy 51.0" in describe(found)
    words = [label.get_text() for label in draw(found, WIDE).axes[0].get_xticklabels()]
    assert "simple_cnn" in words
