import keras
import numpy as np
import pytest

from tests.trainables_tests.training_example import random_backbone
from trainables.network.cut import (
    MOST_DEPTHS,
    PIXELS,
    POOLED,
    Cut,
    block_ends,
    clone_tail,
    find_cut,
    pooled_at,
    tensors_at,
)
from trainables.network.head import pooled_backbone
from trainables.network.tail import TailBackbone


@pytest.fixture(scope="module")
def inception() -> keras.Model:
    return random_backbone("inception_v3", 75)


@pytest.mark.parametrize(
    ("unfrozen", "cut", "convolutions"),
    [(0, POOLED, 0), (1, POOLED, 0), (31, "mixed9", 9), (62, "mixed8", 18), (311, PIXELS, 94), (5000, PIXELS, 94)],
)
def test_inception_is_cut_at_its_block_ends(inception: keras.Model, unfrozen: int, cut: str, convolutions: int) -> None:
    found = find_cut(inception, unfrozen)
    assert found.name == cut
    assert len(found.trainable) == convolutions
    assert not any("batch_norm" in name for name in found.trainable)


def test_counts_that_train_the_same_weights_are_one_cut(inception: keras.Model) -> None:
    assert len({find_cut(inception, unfrozen) for unfrozen in range(31, 41)}) == 1


def test_inside_a_block_the_cut_moves_up_to_the_smaller_single_tensor(inception: keras.Model) -> None:
    assert find_cut(inception, 20).name == "mixed9"


def test_a_residual_added_without_a_layer_is_seen() -> None:
    inputs = keras.Input((8, 8, 4))
    first = keras.layers.Conv2D(4, 1, name="first")(inputs)
    second = keras.layers.Conv2D(4, 1, name="second")(first)
    outputs = keras.layers.Conv2D(4, 1, name="third")(second + first)
    cut = find_cut(keras.Model(inputs, outputs), 2)
    assert cut == Cut("first", ("second", "third"))


@pytest.mark.parametrize(("backbone", "size"), [("mobilenet_v2", 32), ("densenet121", 32), ("efficientnet_v2_b0", 32)])
@pytest.mark.parametrize("unfrozen", [7, 30, 60])
def test_prefix_and_tail_together_are_the_backbone(backbone: str, size: int, unfrozen: int) -> None:
    base = random_backbone(backbone, size)
    cut = find_cut(base, unfrozen)
    tail = clone_tail(base, cut)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    crossing = keras.Model(base.input, tensors_at(base, cut.name))(pixels, training=False)
    crossing = crossing[0] if len(crossing) == 1 else crossing
    np.testing.assert_allclose(tail(crossing, training=False), base(pixels, training=False), atol=1e-5)


def test_training_a_tail_leaves_the_backbone_as_it_is(inception: keras.Model) -> None:
    tail = clone_tail(inception, find_cut(inception, 31))
    before = [weight.copy() for weight in inception.get_weights()]
    for variable in tail.trainable_variables:
        variable.assign_add(np.ones(variable.shape, "float32"))
    for weight, kept in zip(inception.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


DEPTHS = ("mixed7", "mixed8", "mixed9", "mixed10")


@pytest.mark.parametrize(
    ("unfrozen", "crossing", "averages", "moving"),
    [
        (0, [], DEPTHS, ()),
        (31, ["mixed9"], DEPTHS[:3], DEPTHS[3:]),
        (62, ["mixed8"], DEPTHS[:2], DEPTHS[2:]),
        (311, [PIXELS], (), DEPTHS),
    ],
)
def test_depths_that_nothing_trainable_leads_to_cross_as_averages(
    inception: keras.Model, unfrozen: int, crossing: list[str], averages: tuple[str, ...], moving: tuple[str, ...]
) -> None:
    cut = find_cut(inception, unfrozen, depths=DEPTHS)
    assert cut.parts == [*crossing, *map(pooled_at, averages)]
    assert cut.moving == moving


def test_layers_are_counted_from_the_last_depth(inception: keras.Model) -> None:
    assert find_cut(inception, 31, depths=("mixed9",)).trainable == find_cut(inception, 62).trainable[:9]
    assert find_cut(inception, 31, depths=("mixed8", "mixed9")).name == "mixed8+pooled-mixed8"


@pytest.mark.parametrize(
    ("backbone", "size", "ends", "last"),
    [
        ("inception_v3", 75, 11, ["mixed8", "mixed9", "mixed10"]),
        ("mobilenet_v2", 32, 11, ["block_14_add", "block_15_add", "out_relu"]),
        ("densenet121", 32, 10, ["conv5_block5_concat", "conv5_block11_concat", "relu"]),
    ],
)
def test_blocks_end_where_branches_merge_and_at_the_last_output(
    backbone: str, size: int, ends: int, last: list[str]
) -> None:
    found = block_ends(random_backbone(backbone, size))
    assert len(found) == ends <= MOST_DEPTHS
    assert list(found[-3:]) == last


def test_a_backbone_without_merges_has_the_ends_of_its_poolings() -> None:
    assert len(block_ends(random_backbone("simple_cnn", 32))) == 2


@pytest.mark.parametrize("unfrozen", [0, 31, 62, 311])
def test_averages_and_tail_together_are_the_pooled_backbone(inception: keras.Model, unfrozen: int) -> None:
    cut = find_cut(inception, unfrozen, depths=DEPTHS)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 75, 75, 3)).astype("float32")
    crossing = keras.Model(inception.input, tensors_at(inception, cut.name))(pixels, training=False)
    body = TailBackbone(inception, cut, 3, "adam")
    got = body._features(list(crossing) if len(cut.parts) > 1 else [crossing], training=False)
    expected = pooled_backbone(inception, DEPTHS)(pixels, training=False)
    assert body.channels == expected.shape[1] == 768 + 1280 + 2048 + 2048
    np.testing.assert_allclose(got, expected, atol=1e-4)
