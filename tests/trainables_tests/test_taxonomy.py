"""trainables/taxonomy.py: answers and scores at each rank."""

import numpy as np
import pytest

from trainables.taxonomy import AtRank, Taxonomy, taxonomy_of

TREE = Taxonomy(
    ranks=("phylum", "order", "family"),
    names=(
        ("chordata", "carnivora", "felidae"),
        ("chordata", "carnivora", "canidae"),
        ("chordata", "primates", "hominidae"),
        ("arthropoda", "araneae", "salticidae"),
    ),
)


def test_an_answer_goes_as_deep_as_it_is_sure() -> None:
    probabilities = np.array([[0.95, 0.03, 0.01, 0.01], [0.5, 0.45, 0.03, 0.02], [0.4, 0.1, 0.45, 0.05], [0.25] * 4])
    found = TREE.deepest(probabilities, 0.9)
    assert found[0] == AtRank("family", "felidae", pytest.approx(0.95))
    assert found[1] == AtRank("order", "carnivora", pytest.approx(0.95))
    assert found[2] == AtRank("phylum", "chordata", pytest.approx(0.95))
    assert found[3] is None


def test_answers_at_a_rank_are_right_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.3] * 4, 20_000)
    truth = np.array([random.choice(4, p=row) for row in probabilities])
    found = TREE.deepest(probabilities, 0.8)
    right = [each.name in TREE.names[label] for each, label in zip(found, truth, strict=True) if each]
    promised = np.mean([each.probability for each in found if each])
    assert promised >= 0.8 and np.mean(right) == pytest.approx(promised, abs=0.01)


def test_mistakes_are_told_by_the_deepest_rank_at_which_they_are_right() -> None:
    truth, guess = np.array([0, 0, 1, 2, 3, 3]), np.array([0, 1, 2, 3, 3, 0])
    found = TREE.scores(truth, guess)
    assert found["mistakes"] == {"all": 4, "phylum": 1, "order": 1, "none": 2}
    accuracies = {row["rank"]: row["accuracy"] for row in found["ranks"]}
    assert accuracies == pytest.approx({"phylum": 4 / 6, "order": 3 / 6, "family": 2 / 6})
    assert [row["taxa"] for row in found["ranks"]] == [2, 3, 4]


def test_taxa_of_one_name_below_different_ones_are_two() -> None:
    tree = Taxonomy(ranks=("phylum", "family"), names=(("a", "incertae"), ("b", "incertae")))
    assert tree.scores(np.array([0, 1]), np.array([1, 1]))["ranks"][1]["accuracy"] == 0.5


def test_the_commonest_names_of_a_class_count() -> None:
    rows = [("x", ("a", "x")), ("x", ("b", "x")), ("x", ("b", "x")), ("y", ("a", "y")), ("z", ("c", "z"))]
    assert taxonomy_of(("phylum", "family"), rows, ("x", "y")).names == (("b", "x"), ("a", "y"))
