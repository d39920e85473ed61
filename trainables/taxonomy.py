"""Taxonomy above the families: probabilities, scores and answers at each rank."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class AtRank(NamedTuple):
    """An answer at one rank: its name there and the sum of the probabilities of all families in it."""

    rank: str
    name: str
    probability: float


class Taxonomy(BaseModel):
    """The ranks from the broadest to that of the labels, and each label's name at each of them, by label.

    Two taxa of one name in different taxa above are two: what counts is the whole path from the broadest rank down.
    """

    model_config = ConfigDict(frozen=True)

    ranks: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]

    @cached_property
    def _taxa(self) -> list[tuple[Ints, list[str]]]:
        """For each rank: the taxon of each label, int64 [labels], and the taxa's names."""
        found = []
        for depth in range(1, len(self.ranks) + 1):
            paths = sorted({names[:depth] for names in self.names})
            taxon_of = np.array([paths.index(names[:depth]) for names in self.names], np.int64)
            found.append((taxon_of, [path[-1] for path in paths]))
        return found

    def deepest(self, probabilities: Floats, at_least: float) -> list[AtRank | None]:
        """For each photo the likeliest taxon at the deepest rank where its probability is `at_least` so much.

        None where that holds at no rank.

        Args:
            probabilities: [n, labels], calibrated ones: they are summed, and else the sums promise too much.
        """
        answers: list[AtRank | None] = [None] * len(probabilities)
        for rank, (taxon_of, names) in zip(self.ranks, self._taxa, strict=True):
            sums = np.zeros((len(probabilities), len(names)))
            np.add.at(sums.T, taxon_of, np.asarray(probabilities, np.float64).T)
            for row, best in enumerate(sums.argmax(axis=1)):
                # Rounding may leave the sum of all a little below 1.
                if sums[row, best] >= at_least - 1e-6:
                    answers[row] = AtRank(rank, names[best], float(min(sums[row, best], 1.0)))
        return answers

    def scores(self, truth: Ints, guess: Ints) -> dict[str, Any]:
        """Scores of a model's answers, labels [n], at each rank, and how far up the tree its mistakes go.

        Returns:
            `ranks`: for each its name, how many taxa are known and occur in `truth`, accuracy, and macro F1 over the
            latter; `mistakes`: how many answers are wrong and, by the deepest rank at which they are right, how many
            are right there ("none": at no rank).
        """
        from sklearn.metrics import f1_score

        rows, right_at = [], np.full(len(truth), -1)
        for depth, (rank, (taxon_of, names)) in enumerate(zip(self.ranks, self._taxa, strict=True)):
            true, told = taxon_of[truth], taxon_of[guess]
            right_at[true == told] = depth
            macro = f1_score(true, told, labels=np.unique(true), average="macro", zero_division=0.0)
            counts = {"rank": rank, "taxa": len(names), "tested": len(np.unique(true))}
            rows.append({**counts, "accuracy": float((true == told).mean()), "macro_f1": float(macro)})
        wrong = right_at[truth != guess]
        shared = {rank: int((wrong == depth).sum()) for depth, rank in enumerate(self.ranks[:-1])}
        return {"ranks": rows, "mistakes": {"all": len(wrong), **shared, "none": int((wrong == -1).sum())}}


def taxonomy_of(ranks: Sequence[str], rows: Sequence[tuple[str, tuple[str, ...]]], labels: Sequence[str]) -> Taxonomy:
    """The taxonomy of metadata's rows, each a class name and its names at `ranks`, the broadest first.

    Where rows of one class disagree, the commonest names count.

    Args:
        labels: the class names, by label; each has a row.
    """
    found: dict[str, Counter[tuple[str, ...]]] = {}
    for class_name, names in rows:
        found.setdefault(class_name, Counter())[names] += 1
    return Taxonomy(ranks=tuple(ranks), names=tuple(found[label].most_common(1)[0][0] for label in labels))
