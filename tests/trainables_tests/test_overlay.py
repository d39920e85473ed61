import numpy as np
from PIL import Image

from trainables.overlay import overlay


def test_hot_parts_keep_their_colour_and_cold_parts_lose_it() -> None:
    photo = Image.new("RGB", (80, 40), (20, 60, 200))
    heat = np.zeros((4, 4), np.float32)
    heat[:, 2:] = 1
    shown = np.asarray(overlay(photo, heat)).astype(int)
    assert shown.shape == (40, 80, 3)
    np.testing.assert_array_equal(shown[:, 60:], np.broadcast_to([20, 60, 200], (40, 20, 3)))
    cold = shown[20, 5]
    assert np.ptp(cold) == 0 and cold[0] < np.asarray(photo.convert("L"))[20, 5]


def test_a_line_parts_hot_from_cold() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[:, 2:] = 1
    shown = np.asarray(overlay(Image.new("RGB", (80, 40)), heat))
    lines = np.flatnonzero(shown[20, :, 0] == 255)
    assert len(lines) == 1 and 30 < lines[0] < 42


def test_without_heat_all_of_it_is_grey() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8))
    shown = np.asarray(overlay(photo, np.zeros((3, 3), np.float32)))
    assert (np.ptp(shown, axis=2) == 0).all()
