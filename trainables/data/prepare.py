"""Prepare a dataset from a folder of photos.

The steps: find, exclude, decode, group, split, write; the manifest last, and the folder whole or not at all.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from trainables.data.crops import parse_box
from trainables.data.dataset import (
    EXCLUDED,
    MANIFEST,
    PHOTOS,
    SPLITS,
    Crops,
    Manifest,
    Photo,
    Shard,
    fingerprint_of,
)
from trainables.data.exif_times import with_times
from trainables.data.formats.megadetector import crop_photos, read_detections
from trainables.data.formats.taxonomy import key
from trainables.data.groups import group_photos, rules_for
from trainables.data.layouts import find_photos
from trainables.data.options import DATA_BOXES, PrepareOptions
from trainables.data.photo_files import (
    Exclusion,
    Found,
    Inspection,
    PhotoFile,
    apply_exclusion_list,
    inspect_files,
    photo_bytes,
)
from trainables.data.rare_species import LEVELS
from trainables.data.shards import write_split
from trainables.data.split import groups_needed, split_groups
from trainables.data.time_split import split_by_time
from trainables.errors import UserError
from trainables.files.output import check_free, whole_or_nothing, write_json, write_rows
from trainables.taxonomy import Taxonomy, taxonomy_of

_FAR = 0.1  # of all photos: so far may a split be from its share without a word

Say = Callable[[str], None]
_Usable = tuple[PhotoFile, Inspection]


def prepare(photos: Path, out: Path, options: PrepareOptions | None = None, say: Say = lambda line: None) -> Manifest:
    """Write a dataset to `out` from the folder `photos`; `say` hears a line per step.

    Raises:
        UserError: bad options or folders, no usable photo, or a disk that fills up; then nothing is left at `out`.
    """
    options = options or PrepareOptions()
    root, out = photos.resolve(), out.resolve()
    train, validation, test = options.fractions
    if not (0 < train < 1 and 0 < validation < 1 and 0 <= test < 1):
        needs = f"--fractions needs three numbers between 0 and 1 ({', '.join(SPLITS)}), of which only test's may be 0"
        raise UserError(f"{needs}, not {options.fractions}")
    if not math.isclose(total := sum(options.fractions), 1, abs_tol=1e-6):
        raise UserError(f"--fractions must add up to 1, and {' + '.join(map(str, options.fractions))} is {total:g}")
    check_free(out)
    if out.is_relative_to(root):
        raise UserError(f"{out} lies in the folder of photos, where it would be taken for a class; write it elsewhere")
    boxes = options.crop == DATA_BOXES
    found = find_photos(root, options.label_level, options.taxonomy, options.also, boxes)
    place = found.folder(root)
    rules = rules_for(found, options.group)
    say(f"found {len(found.photos)} photos in {root} ({found.layout})")
    exclusion_list = apply_exclusion_list(found, options.exclude)
    crops = _cropped(found, options)
    usable = _usable_photos(place, found, options)
    say(f"{len(usable)} of them can be used; {len(found.excluded)} files or rows are left out")
    rows, train_only, two_labels = _split_rows(place, usable, found, options, rules)
    sizes = {file.photo_id: seen.bytes for file, seen in usable}
    # What is needed of the photos stands in the rows; TensorFlow comes next, and takes 0.7 GB.
    del usable
    found.photos = []
    with whole_or_nothing(out, needed_bytes=sum(sizes.values())) as folder:
        say(f"writing {len(rows)} photos to {out}")
        rows, shards = _write_shards(folder, place, rows, sizes, options.crop_padding)
        write_rows(folder / PHOTOS, Photo._fields, rows)
        write_rows(folder / EXCLUDED, Exclusion._fields, sorted(found.excluded))
        manifest = _manifest(root, found, rows, shards, options).model_copy(
            update={"grouping": list(rules), "train_only_families": train_only, "two_labels": two_labels,
                    "exclusion_list": exclusion_list, "crops": crops}
        )  # fmt: skip
        write_json(manifest.model_dump(), folder / MANIFEST)
    return manifest


def _cropped(found: Found, options: PrepareOptions) -> Crops | None:
    """Put the crops that are asked for in the place of the photos; how they are made, None where whole photos are used.

    Raises:
        UserError: the detector's file cannot be read, or speaks of none of the photos.
    """
    if options.crop is None:
        return None
    how = {"min_confidence": options.min_confidence, "padding": options.crop_padding}
    if options.crop == DATA_BOXES:
        return Crops(file=None, sha256=None, **how)
    detections = read_detections(Path(options.crop))
    crop_photos(found, detections, options.min_confidence)
    return Crops(file=str(detections.file.absolute()), sha256=detections.sha256, **how)


def _usable_photos(root: Path, found: Found, options: PrepareOptions) -> list[_Usable]:
    """The photos that decode, have one label, and are of a class that is large enough; `found` gets the others."""
    usable = []
    sources = [file.source for file in found.photos]
    boxes = [file.box for file in found.photos]
    inspected = inspect_files(root, sources, options.workers, boxes, options.crop_padding)
    for file, seen in zip(found.photos, inspected, strict=True):
        if isinstance(seen, Exclusion):
            found.excluded.append(seen)
        else:
            usable.append((file, seen))
    # Which label of equal bytes in different classes is right cannot be known.
    labels: dict[str, set[str]] = {}
    for file, seen in usable:
        labels.setdefault(seen.sha256, set()).add(file.class_name)
    counts = Counter(file.class_name for file, seen in usable if len(labels[seen.sha256]) == 1)
    kept = []
    for file, seen in usable:
        source, name, names = file.source, file.class_name, labels[seen.sha256]
        if len(names) > 1:
            found.exclude(source, "two_labels", f"the same bytes are labelled {' and '.join(sorted(names))}")
        elif counts[name] < options.min_photos:
            few = f"{name} has {counts[name]} usable photos, and {options.min_photos} are asked for"
            found.exclude(source, "small_class", few)
        else:
            kept.append((file, seen))
    if not kept:
        raise UserError(f"no photo of {root} can be used: {found.reasons()}")
    return kept


def _split_rows(
    root: Path, usable: Sequence[_Usable], found: Found, options: PrepareOptions, rules: Sequence[str]
) -> tuple[list[Photo], list[str], int]:
    """The photos in shard order, shard names still empty; the families in training only; the photos with two labels.

    `found` gets warnings.
    """
    hashes, descriptors = [seen.sha256 for _, seen in usable], [seen.descriptor for _, seen in usable]
    groups, alike = group_photos([file for file, _ in usable], hashes, descriptors, rules, found.columns)
    if options.two_labels == "exclude":
        usable, groups, alike = _with_one_label(usable, groups, alike, found)
    classes = [file.class_name for file, _ in usable]
    if options.split_by_time:
        split = split_by_time(with_times(root, [file for file, _ in usable]), groups, options.fractions)
    else:
        split = split_groups(groups, classes, options.fractions, options.seed, alike)
    class_names = sorted(set(classes))
    if len(class_names) < 2:
        raise UserError(f"all photos are of one class ({class_names[0]}); telling classes apart needs two or more")
    if len(split.train_only) == len(class_names):
        needed = groups_needed(options.fractions)
        raise UserError(f"no class has {needed} groups of photos, so none can be in all {needed} splits; add photos")
    labels = {name: label for label, name in enumerate(class_names)}
    rows = [
        Photo(file.photo_id, split.of_group[group], file.class_name, labels[file.class_name], seen.sha256, group,
              file.source, seen.width, seen.height, shard="", box=seen.box.text() if seen.box else "")
        for (file, seen), group in zip(usable, groups, strict=True)
    ]  # fmt: skip
    mixed = doubtful(rows, alike)
    found.warnings += [*_warnings(rows, split.train_only, mixed, options.fractions), *split.notes]
    found.warnings += not_kept(rows, split.train_only, options.fractions)

    def order(row: Photo) -> tuple[int, str]:
        """Mixes the classes, so that a reader's shuffle buffer can be small; the same on every machine."""
        return SPLITS.index(row.split), hashlib.sha256(f"{options.seed} {row.photo_id}".encode()).hexdigest()

    rows.sort(key=order)
    return rows, split.train_only, sum(map(len, mixed.values()))


def _with_one_label(
    usable: Sequence[_Usable], groups: Sequence[str], alike: Sequence[str], found: Found
) -> tuple[list[_Usable], list[str], list[str]]:
    """Those whose like photos have one label, with their groups and `alike`; `found` gets the others."""
    labels: dict[str, set[str]] = {}
    for (file, _), like in zip(usable, alike, strict=True):
        labels.setdefault(like, set()).add(file.class_name)
    kept = []
    for photo, group, like in zip(usable, groups, alike, strict=True):
        if len(labels[like]) == 1:
            kept.append((photo, group, like))
        else:
            names = " and ".join(sorted(labels[like]))
            found.exclude(photo[0].source, "two_labels", f"like pictures (group {group}) are labelled {names}")
    if not kept:
        raise UserError("all photos are of pictures with different labels; --two-labels train uses them")
    return [photo for photo, _, _ in kept], [group for _, group, _ in kept], [like for _, _, like in kept]


def doubtful(rows: Sequence[Photo], alike: Sequence[str]) -> dict[str, list[Photo]]:
    """The photos that are `alike` (a name per row) and carry different labels, by that name."""
    members: dict[str, list[Photo]] = {}
    for row, like in zip(rows, alike, strict=True):
        members.setdefault(like, []).append(row)
    return {like: each for like, each in sorted(members.items()) if len({row.family for row in each}) > 1}


def not_kept(rows: Sequence[Photo], train_only: Sequence[str], fractions: Sequence[float]) -> list[str]:
    """Sentences on what the split could not keep: families that are not in all splits, and shares far from those asked.

    Raises:
        UserError: a split that was asked for has no photo.
    """
    families = sorted({row.family for row in rows} - set(train_only))
    there = {(row.split, row.family) for row in rows}
    lines = []
    for split, fraction in zip(SPLITS, fractions, strict=True):
        of_split = sum(row.split == split for row in rows)
        if fraction and not of_split:
            raise UserError(f"no photo is left for {split}: the groups that must not be parted are too large; ask for "
                            "less with --group, or for fewer splits with a TEST of 0")  # fmt: skip
        if fraction and (missing := [family for family in families if (split, family) not in there]):
            some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            lines.append(f"{len(missing)} families have no photo in {split}: {some}")
        if abs(of_split / len(rows) - fraction) > _FAR:
            lines.append(f"{split} has {of_split / len(rows):.0%} of the photos where {fraction:.0%} are asked for")
    return lines


def _warnings(
    rows: Sequence[Photo], train_only: Sequence[str], mixed: Mapping[str, list[Photo]], fractions: Sequence[float]
) -> list[str]:
    lines = []
    if not fractions[-1]:
        lines.append("no photo is kept for test: every score will be of photos by which something was chosen; "
                     "`python -m trainables evaluate` tests the model on photos of your own")  # fmt: skip
    if train_only:
        some = ", ".join(train_only[:5]) + (f" and {len(train_only) - 5} more" if len(train_only) > 5 else "")
        want = f"for want of {groups_needed(fractions)} groups"
        lines.append(f"{len(train_only)} families are in training only, {want}: {some}")
    if mixed:
        pairs = [" and ".join(sorted(row.source for row in each)[:3]) for each in mixed.values()]
        some = "; ".join(sorted(pairs)[:3])
        told = f"{len(mixed)} groups of like photos carry different labels and are in training only, each with its own"
        lines.append(f"{told}: {some} (column group of {PHOTOS}); --two-labels exclude leaves them out")
    totals = Counter(row.family for row in rows)
    for (group, family), size in Counter((row.group, row.family) for row in rows).items():
        if size > 10 and size > totals[family] / 2:
            lines.append(f"{size} of the {totals[family]} photos of {family} are one group ({group}), never parted")
    return lines


def _write_shards(
    folder: Path, root: Path, rows: Sequence[Photo], sizes: Mapping[str, int], padding: float
) -> tuple[list[Photo], list[Shard]]:
    """Write all splits; `sizes` are bytes by photo id. Returns the rows with their shards' names, and the shards."""

    def original(row: Photo) -> bytes:
        try:
            image, _ = photo_bytes(root, row.source, parse_box(row.box), padding)
        except OSError as error:
            raise UserError(f"{root / row.source} cannot be read any more: {error.strerror}") from None
        if hashlib.sha256(image).hexdigest() != row.sha256:
            changed = f"{root / row.source} changed while the dataset was made"
            raise UserError(f"{changed}; run again when no other program writes there")
        return image

    placed: list[Photo] = []
    written: list[Shard] = []
    for split in SPLITS:
        of_split = [row for row in rows if row.split == split]
        photos, shards = write_split(folder, split, of_split, original, [sizes[row.photo_id] for row in of_split])
        placed += photos
        written += shards
    return placed, written


def ranks_above(found: Found, level: str, labels: Sequence[str]) -> Taxonomy | None:
    """The ranks down to `level` that the metadata's columns give, for the class names `labels`; None without any above.

    A label without a column of its own, such as a species known by its page, is named as its class.
    """
    places = {column.lower(): place for place, column in enumerate(found.columns)}
    above = [rank for rank in LEVELS[: LEVELS.index(level)] if rank in places] if level in LEVELS else []
    rows, known = [], {*labels}
    for photo in found.photos:
        if photo.values and photo.class_name in known:
            names = [key(photo.values[places[rank]]) for rank in above]
            own = key(photo.values[places[level]]) if level in places else photo.class_name
            rows.append((photo.class_name, (*names, own)))
    if not above or known - {name for name, _ in rows} or not all(all(names) for _, names in rows):
        return None
    return taxonomy_of((*above, level), rows, labels)


def _manifest(
    root: Path, found: Found, rows: Sequence[Photo], shards: list[Shard], options: PrepareOptions
) -> Manifest:  # fmt: skip
    """The manifest, but for what `prepare` alone knows."""
    names, sizes = (
        sorted({row.family for row in rows}),
        sorted(Counter((row.split, row.family) for row in rows).items()),
    )
    return Manifest(
        **options.model_dump(include={"seed", "fractions", "label_level", "min_photos", "split_by_time"}),
        fingerprint=fingerprint_of(rows, names),
        class_names=names,
        counts={split: {family: size for (at, family), size in sizes if at == split} for split in SPLITS},
        excluded=dict(sorted(Counter(one.reason for one in found.excluded).items())),
        exclusion_list=None,
        grouping=[],
        groups=len({row.group for row in rows}),
        layout=found.layout,
        train_only_families=[],
        warnings=found.warnings,
        shards=shards,
        source=str(root),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        taxonomy=ranks_above(found, options.label_level, names),
        versions={name: version(name) for name in ("tensorflow", "pillow", "ImageHash", "numpy")},
    )
