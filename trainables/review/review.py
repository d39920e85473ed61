"""The review of a folder of photos before it becomes a dataset.

The result is a ranked list for a person to decide on; nothing is removed.
python -m trainables review PHOTOS OUT
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from trainables.data.layouts import find_photos
from trainables.data.options import DEFAULT_RULES, NEAR_DUPLICATES
from trainables.data.photo_files import Exclusion, Found, PhotoFile, inspect_files
from trainables.data.split import check_rules, group_photos
from trainables.errors import UserError
from trainables.files.output import check_free, whole_or_nothing, write_rows
from trainables.network.backbones import Weights, check_image_size, check_weights, resolve_weights
from trainables.review import findings as findings_of
from trainables.review.features import BACKBONE, pooled_features
from trainables.review.findings import Review
from trainables.review.options import ReviewOptions
from trainables.review.ranking import Ranking, rank_photos

LIST = "review.csv"
PAGE = "index.html"
COLUMNS = ("exclude", "section", "rank", "source", "family", "score", "looks_like", "reason")
_SHARE = 0.064  # twice what the reference study removed by hand
_FEWEST = 40

Say = Callable[[str], None]


def review(photos: Path, out: Path, options: ReviewOptions | None = None, say: Say = lambda line: None) -> Review:
    """Review all photos below `photos` and write review.csv and index.html to `out`; `say` gets a line per step.

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
    result = _reviewed(root, found, resolve_weights(BACKBONE, options.weights), options, say)
    # Here, not above: drawing needs Jinja, and no other user of this module does.
    from trainables.review.page import render

    say(f"drawing the contact sheet of {len(result.findings)} entries")
    rows = []
    for one in result.findings:
        score = "" if one.score is None else f"{one.score:.3f}"
        # `exclude` is empty: a person writes yes there, and `prepare --exclude` takes those rows.
        rows.append(["", one.section, one.rank, one.source, one.family, score, one.looks_like, one.reason])
    with whole_or_nothing(out) as folder:
        write_rows(folder / LIST, COLUMNS, rows)
        (folder / PAGE).write_text(render(result, out), encoding="utf-8")
    return result


def _reviewed(root: Path, found: Found, weights: Weights, options: ReviewOptions, say: Say) -> Review:
    """Inspect the photos, rank those that can be judged, and list what is wrong with each."""
    sources = [photo.source for photo in found.photos]
    inspected = list(zip(found.photos, inspect_files(root, sources, options.workers), strict=True))
    broken = [(photo, problem) for photo, problem in inspected if isinstance(problem, Exclusion)]
    usable = [(photo, seen) for photo, seen in inspected if not isinstance(seen, Exclusion)]
    photos, seen = [photo for photo, _ in usable], [seen for _, seen in usable]
    hashes, descriptors = [each.sha256 for each in seen], [each.descriptor for each in seen]
    groups = group_photos(photos, hashes, descriptors, options.group)
    tiny = {row for row, each in enumerate(seen) if findings_of.is_tiny(each, options.tiny)}
    blank = {row for row, each in enumerate(seen) if findings_of.is_blank(each)} - tiny
    # Neither shows what its family looks like, and both are listed anyway.
    rows = sorted(set(range(len(photos))) - tiny - blank)
    judged = [photos[row] for row in rows]
    ranking = _ranking(root, judged, [groups[row] for row in rows], weights, options, say)
    # What counts as a copy does not depend on what else must not be judged together, such as bursts.
    usual = set(options.group) == {NEAR_DUPLICATES}
    copies = groups if usual else group_photos(photos, hashes, descriptors, DEFAULT_RULES)
    findings = [
        *findings_of.irrelevant(judged, ranking, options.top or max(_FEWEST, round(_SHARE * len(judged)))),
        *findings_of.undecodable(broken),
        *findings_of.tiny([(photos[row], seen[row]) for row in sorted(tiny)]),
        *findings_of.blank([photos[row] for row in sorted(blank)]),
        *findings_of.near_duplicates(photos, copies, hashes),
    ]
    typical: dict[str, list[str]] = {}
    for row in reversed(ranking.order().tolist()):
        typical.setdefault(judged[row].class_name, []).append(judged[row].source)
    typical = {family: best[:3] for family, best in typical.items()}
    left_out = dict(sorted(Counter(one.reason for one in found.excluded).items()))
    families = {photo.class_name for photo in found.photos}
    return Review(root, findings, len(found.photos), len(families), typical, left_out, weights)


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
