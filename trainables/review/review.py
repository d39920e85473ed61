"""The review of a folder of photos: ranked list and contact sheet."""

import hashlib
import io
import os
import shlex
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import jinja2
from PIL import Image, ImageOps

from trainables.consent import warn_and_ask
from trainables.data.groups import group_photos, rules_for
from trainables.data.images import ImageUnreadable, decode_resized, image_size
from trainables.data.layouts import find_photos
from trainables.data.options import DEFAULT_RULES, NEAR_DUPLICATES
from trainables.data.photo_files import Exclusion, Found, PhotoFile, inspect_files
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.files.output import check_free, data_uri, whole_or_nothing, write_rows
from trainables.network.backbones import Weights, check_image_size, check_weights, resolve_weights
from trainables.review import findings as findings_of
from trainables.review.findings import Finding, Review
from trainables.review.kept import KeptFeatures
from trainables.review.options import ReviewOptions
from trainables.review.ranking import BACKBONE, Ranking, pooled_features, rank_photos

LIST = "review.csv"
PAGE = "index.html"
COLUMNS = ("exclude", "section", "rank", "source", "family", "score", "looks_like", "reason")
_SHARE = 0.064  # twice what the reference study removed by hand
_FEWEST = 40

MOST_COPIES = 150  # groups of near-duplicates on the page; all are in the list
PHOTO_SIDE = 224
_COPY_SIDE = 128
TILE = 72

_SECONDS_BETWEEN_LINES = 15.0
REMEDY = "give the weights' file (--weights PATH), or --weights random if that is meant"

Say = Callable[[str], None]


def review(photos: Path, out: Path, options: ReviewOptions, say: Say = lambda line: None, yes: bool = True) -> Review:
    """Review all photos below `photos` and write review.csv and index.html to `out`; `say` gets a line per step.

    Stopped, it keeps what it knows of the photos, and the same call goes on from there. `yes` goes on from random
    weights without a question.

    Raises:
        UserError: bad options or folders, fewer than two families, or a disk that fills up; nothing is left at `out`.
    """
    root, out = photos.resolve(), out.resolve()
    check_free(out)
    if out.is_relative_to(root):
        raise UserError(f"{out} lies in the folder of photos, where it would be taken for a class; write it elsewhere")
    check_weights(BACKBONE, options.weights)
    check_image_size(BACKBONE, options.image_size)
    found = find_photos(root, options.label_level)
    rules_for(found, options.group)
    if found.unpacked:
        raise UserError(
            f"{root} holds its photos inside of tables; a review shows them where they lie, so write them out first"
        )
    say(f"found {len(found.photos)} photos in {root} ({found.layout})")
    for warning in found.warnings:
        say(f"warning: {warning}")
    weights = resolve_weights(BACKBONE, options.weights)
    if weights.warning:
        asked = options.weights == "random"
        warn_and_ask(f"{weights.warning}; the list will be little better than chance", yes or asked, REMEDY)
    result, kept = _reviewed(root, out, found, weights, options, say)
    say(f"drawing the contact sheet of {len(result.findings)} entries")
    rows = []
    for one in result.findings:
        score = "" if one.score is None else f"{one.score:.3f}"
        # `exclude` is empty: a person writes yes there, and `prepare --exclude` takes those rows.
        rows.append(["", one.section, one.rank, one.source, one.family, score, one.looks_like, one.reason])
    with whole_or_nothing(out) as folder:
        write_rows(folder / LIST, COLUMNS, rows)
        (folder / PAGE).write_text(render(result, out), encoding="utf-8")
    kept.remove()
    return result


def _reviewed(
    root: Path, out: Path, found: Found, weights: Weights, options: ReviewOptions, say: Say
) -> tuple[Review, KeptFeatures]:
    """Inspect the photos, rank those that can be judged, and list what is wrong with each."""
    say("reading all photos")
    sources = [photo.source for photo in found.photos]
    inspected = list(zip(found.photos, inspect_files(root, sources, options.workers), strict=True))
    broken = [(photo, problem) for photo, problem in inspected if isinstance(problem, Exclusion)]
    usable = [(photo, seen) for photo, seen in inspected if not isinstance(seen, Exclusion)]
    photos, seen = [photo for photo, _ in usable], [seen for _, seen in usable]
    hashes, descriptors = [each.sha256 for each in seen], [each.descriptor for each in seen]
    rules = rules_for(found, options.group)
    groups, alike = group_photos(photos, hashes, descriptors, rules, found.columns)
    tiny = {row for row, each in enumerate(seen) if findings_of.is_tiny(each, options.tiny)}
    blank = {row for row, each in enumerate(seen) if findings_of.is_blank(each)} - tiny
    # Neither shows what its family looks like, and both are listed anyway.
    rows = sorted(set(range(len(photos))) - tiny - blank)
    judged = [photos[row] for row in rows]
    depends = (BACKBONE, options.image_size, weights.fingerprint, options.seed)
    kept = KeptFeatures(out, [hashes[row] for row in rows], depends)
    ranking = _ranking(root, judged, [groups[row] for row in rows], weights, options, say, kept)
    # What counts as a copy does not depend on what else must not be judged together, such as bursts.
    usual = NEAR_DUPLICATES in rules and not {"bursts", "species"} & set(rules)
    copies = alike if usual else group_photos(photos, hashes, descriptors, DEFAULT_RULES).alike
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
    return Review(root, findings, len(found.photos), len(families), typical, left_out, weights), kept


def _ranking(
    root: Path,
    photos: Sequence[PhotoFile],
    groups: Sequence[str],
    weights: Weights,
    options: ReviewOptions,
    say: Say,
    kept: KeptFeatures,
) -> Ranking:
    families = [photo.class_name for photo in photos]
    if len(set(families)) < 2:
        raise UserError(
            f"{root} has {len(set(families))} families with photos that can be judged; a photo's place is judged "
            "against other families, so there must be two or more"
        )
    say(f"looking at {len(photos)} photos at {options.image_size} px with {BACKBONE} ({weights.kind} weights)")
    first, started, reported = kept.done, time.monotonic(), time.monotonic()
    if first:
        say(f"  {first} of {len(photos)} were looked at by a review that was stopped")

    def progress(done: int) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported >= _SECONDS_BETWEEN_LINES or done == len(photos):
            reported = now
            left = (now - started) / (done - first) * (len(photos) - done)
            say(f"  {done} of {len(photos)}" + (f", about {minutes(left)} left" if done < len(photos) else ""))

    sources = [photo.source for photo in photos]
    try:
        features = pooled_features(root, sources, options.image_size, weights, options.seed, progress, kept)
    except KeyboardInterrupt:
        say(f"stopped; {kept.folder} keeps what is known of {kept.done} photos, and the same command goes on there")
        raise
    return rank_photos(features, families, groups, options.seed)


def minutes(seconds: float) -> str:
    """Write a rough duration: "40 s", "12 min", "1.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Card(NamedTuple):
    """A finding with its picture: `photo` is a data: address, "" where there is none."""

    finding: Finding
    photo: str
    width: int
    height: int
    original: str


class Strip(NamedTuple):
    """Up to three photos side by side in one picture; it stands in the page once, however often it is shown."""

    name: str
    address: str
    tiles: int


def render(result: Review, out: Path) -> str:
    """The page as HTML; it links to the original photos relative to `out`, where it will lie.

    Raises:
        UserError: a photo can no longer be read.
    """
    shown = [one for one in result.findings if one.section != "near-duplicate" or one.rank <= MOST_COPIES]
    ranked = [one for one in shown if one.section == "irrelevant"]
    with ThreadPoolExecutor(usable_cores()) as pool:
        cards = list(pool.map(lambda one: _card(result.root, out, one), shown))
        families = sorted({one.family for one in ranked})
        typical = pool.map(lambda name: _strip(result.root, f"f{families.index(name)}", result.typical[name]), families)
        alike = pool.map(lambda one: _strip(result.root, f"a{one.rank}", one.alike), ranked)
        strips = [*typical, *alike]
    sections: dict[str, list[Card]] = {}
    for card in cards:
        sections.setdefault(card.finding.section, []).append(card)
    copies = groupby(sections.get("near-duplicate", []), key=lambda card: card.finding.rank)
    # The folder as a person would type it where the command was run.
    root = os.path.relpath(result.root) if result.root.is_relative_to(Path.cwd()) else str(result.root)
    return template("review.html.j2").render(
        review=result,
        sections=sections,
        copies=[list(group) for _, group in copies],
        all_copies=len({one.rank for one in result.section("near-duplicate")}),
        strips=strips,
        strip_of=dict(zip(families, strips, strict=False)),
        key=hashlib.sha256("\n".join(one.source for one in result.findings).encode()).hexdigest()[:16],
        photos=shlex.quote(root),
        tile=TILE,
    )


def template(name: str) -> jinja2.Template:
    """A page's template, which may include others of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def _card(root: Path, out: Path, finding: Finding) -> Card:
    original = quote(Path(os.path.relpath(root / finding.source, out)).as_posix())
    if finding.section == "undecodable":
        return Card(finding, "", 0, 0, original)
    picture = thumbnail(root, finding.source, _COPY_SIDE if finding.section == "near-duplicate" else PHOTO_SIDE)
    return Card(finding, picture_address(picture), picture.width, picture.height, original)


def thumbnail(root: Path, source: str, side: int) -> Image.Image:
    """The photo with its own aspect, `side` pixels at its longer side, or its own size if that is less."""
    try:
        image = (root / source).read_bytes()
        width, height = image_size(image)
        square = Image.fromarray(decode_resized(image, min(side, max(width, height))))
    except (OSError, ImageUnreadable) as error:
        raise UserError(f"{root / source} changed while it was reviewed: {error}; run again") from None
    scale = square.width / max(width, height)
    return square.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR)


def _strip(root: Path, name: str, sources: Sequence[str]) -> Strip:
    strip = Image.new("RGB", (TILE * max(1, len(sources)), TILE), "white")
    for number, source in enumerate(sources):
        picture = thumbnail(root, source, 2 * TILE)
        strip.paste(ImageOps.fit(picture, (TILE, TILE), Image.Resampling.BILINEAR), (number * TILE, 0))
    return Strip(name, picture_address(strip), len(sources))


def picture_address(picture: Image.Image) -> str:
    """A picture as a data: address."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=72, optimize=True)
    return data_uri(stream.getvalue())
