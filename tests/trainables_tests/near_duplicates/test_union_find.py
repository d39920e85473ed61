import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainables.near_duplicates.links import Forest, components, links_of_equal

LINKS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40)


def reachable(count: int, links: list[tuple[int, int]]) -> list[int]:
    roots = list(range(count))
    for _ in range(count):
        for one, other in links:
            roots[one] = roots[other] = min(roots[one], roots[other])
    return roots


@given(LINKS)
def test_a_component_is_called_by_its_first_position(links: list[tuple[int, int]]) -> None:
    assert components(20, links) == reachable(20, links)


@given(LINKS, LINKS)
def test_a_forest_keeps_fewer_links_than_positions_and_joins_the_same(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    forest = Forest(20)
    for links in (first, second):
        pairs = np.array(links, dtype=np.int64).reshape(-1, 2)
        forest.add(pairs[:, 0], pairs[:, 1])
    assert len(forest.links) < 20
    assert forest.roots().tolist() == reachable(20, first + second) == components(20, forest.links)


def test_equal_keys_are_linked_and_missing_ones_are_not() -> None:
    assert components(6, links_of_equal(["a", None, "b", "a", None, ""])) == [0, 1, 2, 0, 4, 5]
