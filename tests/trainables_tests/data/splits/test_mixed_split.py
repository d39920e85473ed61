from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data.splits.mixed_split import deal
from trainables.data.splits.split import split_groups

STUDY = (0.7, 0.15, 0.15)
FAMILIES = [f"f{number}" for number in range(6)]


def stations(count: int, families: int = 4) -> dict[str, Counter[str]]:
    """Each with some families, of which the next one has all but one too."""
    return {
        f"station{number}": Counter({FAMILIES[(number + more) % len(FAMILIES)]: 5 + more for more in range(families)})
        for number in range(count)
    }


@pytest.mark.parametrize("seed", range(10))
def test_eight_stations_with_four_families_each_are_split_with_every_family_in_training(seed: int) -> None:
    groups = stations(8)
    places = deal(groups, Counter(), STUDY, seed)
    assert set(places.values()) == {0, 1, 2}
    for family in FAMILIES:
        of_family = {places[name] for name, counts in groups.items() if counts[family]}
        assert 0 in of_family
    judged = {family for name, counts in groups.items() if places[name] for family in counts}
    assert judged == set(FAMILIES)


@given(st.lists(st.dictionaries(st.sampled_from(FAMILIES), st.integers(1, 9), min_size=1), min_size=1, max_size=12))
@settings(max_examples=80, deadline=None)
def test_every_class_is_in_training_whatever_the_groups(groups: list[dict[str, int]]) -> None:
    named = {f"g{number}": Counter(counts) for number, counts in enumerate(groups)}
    places = deal(named, Counter(), STUDY, 0)
    for family in {name for counts in named.values() for name in counts}:
        assert any(places[name] == 0 for name, counts in named.items() if counts[family])


def test_what_is_in_training_already_counts() -> None:
    groups = {"a": Counter(x=5, y=5), "b": Counter(x=5, y=5)}
    assert set(deal(groups, Counter(x=30, y=30), STUDY, 0).values()) == {1, 2}


def test_many_groups_come_as_close_to_the_shares_as_photos_do() -> None:
    groups = {f"s{number}": Counter({f"f{number % 7}": 3, f"f{number % 5}": 1}) for number in range(600)}
    places = deal(groups, Counter(), STUDY, 0)
    for family in [f"f{number}" for number in range(7)]:
        total = sum(counts[family] for counts in groups.values())
        for place, share in enumerate(STUDY):
            got = sum(counts[family] for name, counts in groups.items() if places[name] == place)
            assert got / total == pytest.approx(share, abs=0.02)


def test_the_seed_decides_and_the_order_does_not() -> None:
    groups = stations(8)
    backwards = dict(reversed(groups.items()))
    assert deal(groups, Counter(), STUDY, 3) == deal(backwards, Counter(), STUDY, 3)
    assert len({tuple(sorted(deal(groups, Counter(), STUDY, seed).items())) for seed in range(8)}) > 1


def test_only_classes_that_share_a_group_are_dealt_together() -> None:
    """Class c has groups of its own: its split is what it is without the stations."""
    rows = [(name, family) for name, counts in stations(8).items() for family in counts for _ in range(3)]
    alone = [(f"c{number}", "c") for number in range(20)]
    groups, classes = zip(*(rows + alone), strict=True)
    alike = [f"photo{number}" for number in range(len(groups))]
    both = split_groups(groups, classes, STUDY, 0, alike)
    only = split_groups(*zip(*alone, strict=True), STUDY, 0)  # type: ignore[arg-type]
    assert both.of_group.items() >= only.of_group.items()
    assert both.train_only == []


def test_like_photos_with_two_labels_still_send_their_group_to_training() -> None:
    groups = ["north", "north", *["south"] * 4, *["west"] * 4, *["east"] * 4]
    classes = ["a", "b"] + ["a", "b"] * 6
    alike = ["copy", "copy", *(str(number) for number in range(12))]
    split = split_groups(groups, classes, STUDY, 0, alike)
    assert split.of_group["north"] == "train" and set(split.of_group.values()) == {"train", "validation", "test"}
