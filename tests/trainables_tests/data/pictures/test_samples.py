import numpy as np
import pytest

from trainables.data.pictures.samples import UnsupportedSamples, picture, to_bytes


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_smallest_depth_that_holds_the_brightest_is_the_full_scale(bits: int) -> None:
    samples = np.array([[0, 2**bits - 1]], np.uint16)
    assert to_bytes(samples).tolist() == [[0, 255]]
    assert to_bytes(samples.astype(np.int64)).tolist() == [[0, 255]]


def test_a_declared_depth_is_believed_while_the_samples_fit() -> None:
    assert to_bytes(np.array([[0, 2047]], np.uint16), bits=12).tolist() == [[0, 127]]
    assert to_bytes(np.array([[0, 65535]], np.uint16), bits=12).tolist() == [[0, 255]]
    assert to_bytes(np.array([[0, 15]], np.uint8), bits=4).tolist() == [[0, 255]]


def test_a_flat_or_empty_picture_is_no_division_by_zero() -> None:
    assert to_bytes(np.full((2, 2), -7, np.int16)).tolist() == [[0, 0], [0, 0]]
    assert to_bytes(np.full((1, 2), np.nan, np.float32)).tolist() == [[0, 0]]
    assert to_bytes(np.zeros((0, 3), np.uint16)).shape == (0, 3)


def test_infinite_samples_are_the_lowest_and_the_highest() -> None:
    assert to_bytes(np.array([[-np.inf, 0, 500, np.inf]], np.float32)).tolist() == [[0, 0, 255, 255]]


def test_channels_become_colours() -> None:
    samples = np.array([[[10, 20, 30, 0]]], np.uint8)
    assert picture(samples[:, :, 0]).getpixel((0, 0)) == (10, 10, 10)
    assert picture(samples[:, :, :2]).getpixel((0, 0)) == (10, 20, 0)
    assert picture(samples[:, :, :3]).getpixel((0, 0)) == (10, 20, 30)
    assert picture(samples, alpha=True).getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(UnsupportedSamples, match="4 channels; 1, 2 or 3 are read"):
        picture(samples)
