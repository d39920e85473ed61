"""Review a folder of photos before it becomes a dataset: a ranked list for a person to decide on. Nothing is removed.

python -m trainables review PHOTOS OUT
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from trainables.data.groups import check_rules, group_photos
from trainables.data.inspection import Inspection, Problem, inspect_files
from trainables.data.layouts import find_photos
from trainables.data.options import DEFAULT_RULES, NEAR_DUPLICATES
from trainables.data.photo_files import Found, PhotoFile
from trainables.errors import UserError
from trainables.files.output import check_free, whole_or_nothing, write_rows
from trainables.network.backbones import Weights, check_image_size, check_weights, resolve_weights
from trainables.review import findings as findings_of
from trainables.review.features import BACKBONE, pooled_features
from trainables.review.findings import Finding, Review
from trainables.review.ranking import Ranking, rank_photos

LIST = "review.csv"
PAGE = "index.html"
COLUMNS = ("exclude", "section", "rank", "source", "family", "score", "looks_like", "reason")
_SHARE = 0.064  # twice what the reference study removed by hand
_FEWEST = 40

Say = Callable[[str], None]


class ReviewOptions(BaseModel):
    """How to review; `top` None lists 6.4 % of the photos, twice the share that the reference study removed.

    `tiny` is in pixels of the shorter side; `workers` None means one process per usable core.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label_level: str = "family"
    weights: str = "auto"
    image_size: int = Field(default=299, ge=1)
    top: int | None = Field(default=None, ge=1)
    tiny: int = Field(default=64, ge=1)
    group: tuple[str, ...] = DEFAULT_RULES
    seed: int = Field(default=0, ge=0)
    workers: int | None = Field(default=None, ge=1)


class _Seen(NamedTuple):
    """Photos that decode and their inspections; and those that do not."""

    photos: list[PhotoFile]
    looks: list[Inspection]
    broken: list[tuple[PhotoFile, Problem]]


def review(photos: Path, out: Path, options: ReviewOptions | None = None, say: Say = lambda line: None) -> Review:
    """Look at all photos below `photos` and write review.csv and index.html to `out`; `say` hears a line per step.

    Raises:
        UserError: bad options or folders, fewer than two families, or a disk that fills up; nothing is left at `out`.
    """
    options = options or ReviewOptions()
    root, out = photos.resolve(), out.resolve()
    check_free(out)
    if out.is_relative_to(root):
        raise UserError(f"{out} lies in the folder of photos, where it would be taken for a class; write it elsewhere")
    check_weights(options.weights)
    check_image_size(BACKBONE, options.image_size)
    found = find_photos(root, options.label_level)
    check_rules(options.group, found.photos)
    say(f"found {len(found.photos)} photos in {root} ({found.layout})")
    weights = resolve_weights(BACKBONE, options.weights)
    seen = _inspected(root, found, options)
    result = _reviewed(root, found, seen, weights, options, say)
    # Here, not above: drawing needs Jinja, and nobody else who imports this module does.
    from trainables.review.page import render

    say(f"drawing the contact sheet of {len(result.findings)} entries")
    with whole_or_nothing(out) as folder:
        _write_list(folder / LIST, result.findings)
        (folder / PAGE).write_text(render(result, out), encoding="utf-8")
    return result


def _inspected(root: Path, found: Found, options: ReviewOptions) -> _Seen:
    seen = _Seen([], [], [])
    sources = [photo.source for photo in found.photos]
    for photo, look in zip(found.photos, inspect_files(root, sources, options.workers), strict=True):
        if isinstance(look, Problem):
            seen.broken.append((photo, look))
        else:
            seen.photos.append(photo)
            seen.looks.append(look)
    return seen


def _reviewed(root: Path, found: Found, seen: _Seen, weights: Weights, options: ReviewOptions, say: Say) -> Review:
    hashes = [look.sha256 for look in seen.looks]
    looks = [look.descriptor for look in seen.looks]
    groups = group_photos(seen.photos, hashes, looks, options.group)
    tiny = {row for row, look in enumerate(seen.looks) if findings_of.is_tiny(look, options.tiny)}
    blank = {row for row, look in enumerate(seen.looks) if findings_of.is_blank(look)} - tiny
    # Neither shows what its family looks like, and both are listed anyway.
    ranked = sorted(set(range(len(seen.photos))) - tiny - blank)
    photos = [seen.photos[row] for row in ranked]
    ranking = _ranking(root, photos, [groups[row] for row in ranked], weights, options, say)
    # What counts as a copy does not depend on what else must not be judged together, such as bursts.
    copies = (
        groups if set(options.group) == {NEAR_DUPLICATES} else group_photos(seen.photos, hashes, looks, DEFAULT_RULES)
    )
    findings = [
        *findings_of.irrelevant(photos, ranking, options.top or max(_FEWEST, round(_SHARE * len(photos)))),
        *findings_of.undecodable(seen.broken),
        *findings_of.tiny([(seen.photos[row], seen.looks[row]) for row in sorted(tiny)]),
        *findings_of.blank([seen.photos[row] for row in sorted(blank)]),
        *findings_of.near_duplicates(seen.photos, copies, hashes),
    ]
    left_out = dict(sorted(Counter(one.reason for one in found.excluded).items()))
    families = {photo.class_name for photo in found.photos}
    return Review(root, findings, len(found.photos), len(families), _typical(photos, ranking), left_out, weights)


def _ranking(
    root: Path, photos: Sequence[PhotoFile], groups: Sequence[str], weights: Weights, options: ReviewOptions, say: Say
) -> Ranking:
    families = [photo.class_name for photo in photos]
    if len(set(families)) < 2:
        raise UserError(
            f"{root} has {len(set(families))} families with photos that can be judged; a photo's place is judged "
            "against other families, so there must be two or more"
        )
    say(f"looking at {len(photos)} photos at {options.image_size} px with {BACKBONE} ({weights.kind} weights)")
    step = max(1, len(photos) // 10)
    reported = 0

    def progress(done: int) -> None:
        nonlocal reported
        if done // step > reported:
            reported = done // step
            say(f"  {done} of {len(photos)}")

    sources = [photo.source for photo in photos]
    features = pooled_features(root, sources, options.image_size, weights, options.seed, progress)
    return rank_photos(features, families, groups, options.seed)


def _typical(photos: Sequence[PhotoFile], ranking: Ranking) -> dict[str, list[str]]:
    typical: dict[str, list[str]] = {}
    for row in reversed(ranking.order().tolist()):
        chosen = typical.setdefault(photos[row].class_name, [])
        if len(chosen) < 3:
            chosen.append(photos[row].source)
    return typical


def _write_list(file: Path, findings: Sequence[Finding]) -> None:
    """The list as CSV; `exclude` is empty: who reviews writes yes there, and `prepare --exclude` takes those rows."""
    rows = (
        ("", one.section, one.rank, one.source, one.family, "" if one.score is None else f"{one.score:.3f}",
         one.looks_like, one.reason)
        for one in findings
    )  # fmt: skip
    write_rows(file, COLUMNS, rows)
