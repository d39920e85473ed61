from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.confusion_picture import NAMED, confusion_shares, draw_confusion


def test_a_row_says_what_a_familys_photos_were_taken_for() -> None:
    shares = confusion_shares(np.array([0, 0, 0, 0, 2]), np.array([0, 0, 1, 2, 1]), 3)
    np.testing.assert_allclose(shares, [[0.5, 0.25, 0.25], [np.nan] * 3, [0, 1, 0]])


@pytest.mark.parametrize("classes", [2, 30, NAMED + 40])
def test_the_picture_holds_any_number_of_families(tmp_path: Path, classes: int) -> None:
    labels = np.arange(classes - 1).repeat(3)  # The last family has no photo.
    predicted = np.where(np.arange(len(labels)) % 3, labels, (labels + 1) % classes)
    draw_confusion(labels, predicted, [f"family_{number}" for number in range(classes)], tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) >= 400 and max(picture.size) <= 2000
        assert len(set(picture.convert("RGB").getdata())) > 10
