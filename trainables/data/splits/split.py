"""The seeded, stratified split that keeps groups whole."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.data.dataset import SPLITS
from trainables.data.splits.mixed_split import deal


def groups_needed(fractions: Sequence[float]) -> int:
    """How many groups of its own a class needs to be in every split: with fewer it is kept in training only."""
    return sum(fraction > 0 for fraction in fractions)


_ATTEMPTS = 24
# Of a few groups one deal misses the best split more often, and costs little.
_FEW_GROUPS, _MORE_ATTEMPTS = 12, 96

_Counts = npt.NDArray[np.int64]
_Targets = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """The split of each group, the classes that are in training only, and what else a reader should know."""

    of_group: Mapping[str, str]
    train_only: list[str]
    notes: tuple[str, ...] = ()


def split_groups(
    groups: Sequence[str],
    classes: Sequence[str],
    fractions: tuple[float, float, float],
    seed: int,
    alike: Sequence[str] | None = None,
) -> Split:
    """Give each group to one split; `groups` and `classes` are per photo, `fractions` in the order of `SPLITS`.

    - A class with as many groups of its own as there are splits (two where the last fraction, test's, is 0) gets at
      least one photo in each of them, and otherwise is as close to the fractions as whole groups permit.
    - A class with fewer goes to training.
    - A group in which photos that are `alike` have several classes goes to training: it tells that a label is doubtful,
      and a doubtful label must not judge. Without `alike`, all photos of a group are.
    - Other groups with several classes, such as the photos of a station, are dealt together with all groups of these
      classes (`mixed_split`); every class is then in training.
    - Other classes are split independently: another class more or less does not move this one's photos.
    """
    members: dict[str, Counter[str]] = {}
    for group, name in zip(groups, classes, strict=True):
        members.setdefault(group, Counter())[name] += 1
    in_train: Counter[str] = Counter()
    of_group: dict[str, str] = {}
    for group in _doubtful(groups, classes, groups if alike is None else alike):
        of_group[group] = SPLITS[0]
        in_train.update(members.pop(group))
    mixed = _shared(members)
    own: dict[str, list[tuple[str, int]]] = {name: [] for name in sorted(set(classes) - mixed)}
    together = {group: counts for group, counts in sorted(members.items()) if mixed.intersection(counts)}
    for group in sorted(members.keys() - together.keys()):
        [(name, size)] = members[group].items()
        own[name].append((group, size))
    needed = groups_needed(fractions)
    for name, sized in own.items():
        places = [0] * len(sized)
        if len(sized) >= needed:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            places = _best_deal([size for _, size in sized], in_train[name], fractions[:needed], rng)
        of_group |= {group: SPLITS[place] for (group, _), place in zip(sized, places, strict=True)}
    of_group |= {group: SPLITS[place] for group, place in deal(together, in_train, fractions[:needed], seed).items()}
    judged = {name for group, counts in together.items() if of_group[group] != SPLITS[0] for name in counts}
    train_only = {name for name, sized in own.items() if len(sized) < needed} | (mixed - judged)
    return Split(of_group, sorted(train_only))


def _doubtful(groups: Sequence[str], classes: Sequence[str], alike: Sequence[str]) -> list[str]:
    """The groups in which photos that are alike have several classes."""
    labels: dict[str, set[str]] = {}
    for like, name in zip(alike, classes, strict=True):
        labels.setdefault(like, set()).add(name)
    return sorted({group for group, like in zip(groups, alike, strict=True) if len(labels[like]) > 1})


def _shared(members: Mapping[str, Mapping[str, int]]) -> set[str]:
    """The classes that share a group with another."""
    return {name for counts in members.values() if len(counts) > 1 for name in counts}


def _best_deal(sizes: Sequence[int], in_train: int, fractions: Sequence[float], rng: np.random.Generator) -> list[int]:
    """A split's number per group; `in_train` photos of the class are in training already.

    Deals the groups at random, several times, improves each deal by moves and swaps, and keeps the best. Dealing the
    largest group first would need one try, but would put every large group into training.
    """
    targets = np.array(fractions) * (sum(sizes) + in_train)
    reachable = _cost(_rounded(targets), targets)
    best: tuple[float, list[int]] = (np.inf, [])
    for _ in range(_ATTEMPTS if len(sizes) > _FEW_GROUPS else _MORE_ATTEMPTS):
        # Each group, in random order, to the split that lacks most; the first ones to different ones.
        lacking = targets - _start(in_train, targets)
        places = [0] * len(sizes)
        for turn, group in enumerate(rng.permutation(len(sizes))):
            # Even deals would always give validation the odd photo; the jitter decides ties by chance.
            wish = lacking + rng.random(len(targets)) * 1e-6
            place = turn if turn < len(targets) else int(np.argmax(wish))
            places[group] = place
            lacking[place] -= sizes[group]
        cost = _improve(places, sizes, in_train, targets)
        best = min(best, (cost, places))
        if best[0] <= reachable + 1e-9:
            break
    return best[1]


def _improve(places: list[int], sizes: Sequence[int], in_train: int, targets: _Targets) -> float:
    """Move and swap groups, in place, as long as the split comes closer to its targets; returns the cost."""
    filled = _start(in_train, targets)
    groups = np.zeros(len(targets), dtype=np.int64)
    for place, size in zip(places, sizes, strict=True):
        filled[place] += size
        groups[place] += 1
    while True:
        # One group stands for all of its size and split: what moving it would change is the same.
        kinds = {(place, size): group for group, (place, size) in enumerate(zip(places, sizes, strict=True))}
        step = _best_step(kinds, filled, groups, targets)
        if step is None:
            return _cost(filled, targets)
        for group, to in step:
            for change, place in ((-1, places[group]), (1, to)):
                filled[place] += change * sizes[group]
                groups[place] += change
            places[group] = to


def _best_step(
    kinds: Mapping[tuple[int, int], int], filled: _Counts, groups: _Counts, targets: _Targets
) -> list[tuple[int, int]] | None:
    """The move or swap that lowers the cost most, as (group, its new split); None when none does."""
    best_cost, best = _cost(filled, targets) - 1e-9, None
    for (place, size), group in kinds.items():
        for to in range(len(targets)):
            if to == place:
                continue
            partners = [(0, None)] if groups[place] > 1 else []
            partners += [(back, other) for (at, back), other in kinds.items() if at == to and back < size]  # type: ignore[misc]
            for back, partner in partners:
                after = filled.copy()
                after[place] += back - size
                after[to] += size - back
                cost = _cost(after, targets)
                if cost < best_cost:
                    best_cost = cost
                    best = [(group, to)] if partner is None else [(group, to), (partner, place)]
    return best


def _start(in_train: int, targets: _Targets) -> _Counts:
    """Photos per split before any group is dealt."""
    return np.array([in_train, *[0] * (len(targets) - 1)], dtype=np.int64)


def _cost(filled: _Counts, targets: _Targets) -> float:
    return float(np.square(filled - targets).sum())


def _rounded(targets: _Targets) -> _Counts:
    """The whole numbers nearest to the targets that keep their sum, none below 1 (largest remainders)."""
    whole = np.maximum(np.floor(targets + 1e-9), 1).astype(np.int64)
    while whole.sum() < round(targets.sum()):
        whole[np.argmax(targets - whole)] += 1
    while whole.sum() > round(targets.sum()):
        whole[np.argmax(np.where(whole > 1, whole - targets, -np.inf))] -= 1
    return whole
