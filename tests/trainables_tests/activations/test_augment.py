import numpy as np
import pytest

from trainables.activations.augment import augment, draw_parameters
from trainables.config import Augmentation

NOTHING = Augmentation(horizontal_flip=False, vertical_flip=False, rotation=0, zoom=0, brightness=0, contrast=0)
IDS = [f"photo-{number}" for number in range(200)]


def photos(count: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_a_view_of_a_photo_is_the_same_whatever_stands_beside_it() -> None:
    together = draw_parameters(IDS, 3, 7, Augmentation())
    alone = draw_parameters([IDS[41]], 3, 7, Augmentation())
    np.testing.assert_array_equal(together[41], alone[0])


@pytest.mark.parametrize(("view", "seed"), [(4, 7), (3, 8)])
def test_another_view_or_seed_gives_another_picture(view: int, seed: int) -> None:
    first = draw_parameters(IDS, 3, 7, Augmentation())
    assert not np.any(np.all(first == draw_parameters(IDS, view, seed, Augmentation()), axis=1))


def test_without_ranges_a_photo_stays_as_it_is() -> None:
    before = photos(4)
    after = augment(before, draw_parameters(IDS[:4], 0, 0, NOTHING)).numpy()
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_a_horizontal_flip_mirrors_left_and_right() -> None:
    flips = NOTHING.model_copy(update={"horizontal_flip": True})
    before = photos(40)
    after = augment(before, draw_parameters(IDS[:40], 0, 0, flips)).numpy()
    mirrored = [np.allclose(after[n], before[n, :, ::-1], atol=1e-3) for n in range(40)]
    untouched = [np.allclose(after[n], before[n], atol=1e-3) for n in range(40)]
    assert all(a != b for a, b in zip(mirrored, untouched, strict=True))
    assert 8 < sum(mirrored) < 32


def test_a_vertical_flip_swaps_top_and_bottom() -> None:
    flips = NOTHING.model_copy(update={"vertical_flip": True})
    before = photos(40)
    after = augment(before, draw_parameters(IDS[:40], 0, 0, flips)).numpy()
    swapped = [np.allclose(after[n], before[n, ::-1], atol=1e-3) for n in range(40)]
    assert 8 < sum(swapped) < 32


def test_rotation_stays_within_its_degrees_and_uses_them() -> None:
    turned = NOTHING.model_copy(update={"rotation": 20.0})
    parameters = draw_parameters(IDS, 0, 0, turned)
    degrees = np.degrees(np.arctan2(parameters[:, 3], parameters[:, 0]))
    assert np.abs(degrees).max() <= 20
    assert degrees.min() < -15
    assert degrees.max() > 15


def test_a_quarter_turn_moves_the_corner_to_the_next_corner() -> None:
    before = np.zeros((1, 9, 9, 3), np.uint8)
    before[0, 0, 0] = 255
    parameters = np.zeros((1, 10), np.float32)
    parameters[0] = [0, -1, 0, 1, 0, 0, 0, 0, 0, 1]
    after = augment(before, parameters).numpy()
    assert after[0, 0, 8].min() > 250 or after[0, 8, 0].min() > 250
    assert after.sum() == pytest.approx(3 * 255, rel=1e-3)


def test_brightness_and_contrast_stay_in_range_and_pixels_in_0_255() -> None:
    parameters = draw_parameters(IDS, 0, 0, Augmentation())
    assert np.abs(parameters[:, 8]).max() <= 0.2 * 255
    assert parameters[:, 9].min() >= 0.8
    assert parameters[:, 9].max() <= 1.2
    after = augment(photos(200), parameters).numpy()
    assert after.min() >= 0
    assert after.max() <= 255
