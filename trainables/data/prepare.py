"""Prepare a dataset from a folder of photos.

The steps: find, exclude, decode, group, split, write; the manifest last, and the folder whole or not at all.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from trainables.data.dataset import (
    EXCLUDED,
    MANIFEST,
    PHOTOS,
    SPLITS,
    ExclusionList,
    Manifest,
    Photo,
    Shard,
    fingerprint_of,
)
from trainables.data.exclusion_list import LISTED, apply_exclusion_list
from trainables.data.given_splits import check_given, given_split, in_other_splits
from trainables.data.layouts import find_photos
from trainables.data.options import PrepareOptions
from trainables.data.photo_files import Exclusion, Found, Inspection, PhotoFile, inspect_files
from trainables.data.shards import write_split
from trainables.data.split import check_rules, group_photos, groups_needed, split_groups
from trainables.errors import UserError
from trainables.files.output import check_free, whole_or_nothing, write_json, write_rows
from trainables.versions import versions

_LIBRARIES = ("tensorflow", "pillow", "pillow-heif", "tifffile", "imagecodecs", "ImageHash", "numpy")

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
    found = find_photos(root, options.label_level)
    check_rules(options.group, found.photos)
    if options.splits == "given":
        check_given(found.splits)
    elif found.splits:
        there = " and ".join(sorted(set(found.splits.values())))
        found.warnings.append(f"the photos came in splits ({there}) and are split anew; --splits given keeps them")
    say(f"found {len(found.photos)} photos in {root} ({found.layout})")
    exclusion_list = apply_exclusion_list(found, options.exclude)
    usable = _usable_photos(root, found, options)
    say(f"{len(usable)} of them can be used; {len(found.excluded)} files or rows are left out")
    rows, train_only = _split_rows(usable, found, options)
    sizes = {file.photo_id: seen.bytes for file, seen in usable}
    with whole_or_nothing(out, needed_bytes=sum(sizes.values())) as folder:
        say(f"writing {len(rows)} photos to {out}")
        rows, shards = _write_shards(folder, root, rows, sizes)
        write_rows(folder / PHOTOS, Photo._fields, rows)
        write_rows(folder / EXCLUDED, Exclusion._fields, sorted(found.excluded))
        manifest = _manifest(root, found, rows, train_only, shards, options, exclusion_list)
        write_json(manifest.model_dump(), folder / MANIFEST)
    return manifest


def _usable_photos(root: Path, found: Found, options: PrepareOptions) -> list[_Usable]:
    """The photos that decode, have one label, and are of a class that is large enough; `found` gets the others."""
    usable = []
    sources = [file.source for file in found.photos]
    for file, seen in zip(found.photos, inspect_files(root, sources, options.workers), strict=True):
        if isinstance(seen, Exclusion):
            found.excluded.append(seen._replace(family=file.class_name))
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
            found.exclude(source, "two_labels", f"the same bytes are labelled {' and '.join(sorted(names))}", name)
        elif counts[name] < options.min_photos:
            few = f"{name} has {counts[name]} usable photos, and {options.min_photos} are asked for"
            found.exclude(source, "small_class", few, name)
        else:
            kept.append((file, seen))
    if not kept:
        raise UserError(f"no photo of {root} can be used: {found.reasons()}")
    return kept


def _split_rows(usable: Sequence[_Usable], found: Found, options: PrepareOptions) -> tuple[list[Photo], list[str]]:
    """The photos in shard order, shard names still empty, and the families in training only; `found` gets warnings."""
    hashes, descriptors = [seen.sha256 for _, seen in usable], [seen.descriptor for _, seen in usable]
    groups = group_photos([file for file, _ in usable], hashes, descriptors, options.group)
    if options.two_labels == "exclude":
        usable, groups = _with_one_label(usable, groups, found)
    if options.splits == "given":
        usable, groups = _without_leaks(usable, groups, found)
    classes = [file.class_name for file, _ in usable]
    if options.splits == "given":
        sources = [file.source for file, _ in usable]
        split = given_split(sources, groups, classes, found.splits, options.fractions, options.seed)
    else:
        split = split_groups(groups, classes, options.fractions, options.seed)
    class_names = sorted(set(classes))
    if len(class_names) < 2:
        raise UserError(f"all photos are of one class ({class_names[0]}); telling classes apart needs two or more")
    if len(split.train_only) == len(class_names):
        needed = groups_needed(options.fractions)
        raise UserError(f"no class has {needed} groups of photos, so none can be in all {needed} splits; add photos")
    labels = {name: label for label, name in enumerate(class_names)}
    rows = [
        Photo(file.photo_id, split.of_group[group], file.class_name, labels[file.class_name], seen.sha256, group,
              file.source, seen.width, seen.height, shard="")
        for (file, seen), group in zip(usable, groups, strict=True)
    ]  # fmt: skip
    found.warnings += _warnings(rows, split.train_only, options.fractions)
    # Small and listed ones were asked for.
    gone = {family: reasons for family, reasons in missing_families(found, class_names).items()
            if not reasons.keys() <= {"small_class", LISTED}}  # fmt: skip
    if gone:
        named = [f"{family} ({', '.join(f'{count} {reason}' for reason, count in reasons.items())})"
                 for family, reasons in gone.items()]  # fmt: skip
        more = f" and {len(gone) - 10} more" if len(gone) > 10 else ""
        whole = f"{len(gone)} {'family has' if len(gone) == 1 else 'families have'} no photo that can be used"
        found.warnings.append(f"{whole} and {'is' if len(gone) == 1 else 'are'} missing: {', '.join(named[:10])}{more}")

    def place(row: Photo) -> tuple[int, str]:
        """Mixes the classes, so that a reader's shuffle buffer can be small; the same on every machine."""
        return SPLITS.index(row.split), hashlib.sha256(f"{options.seed} {row.photo_id}".encode()).hexdigest()

    rows.sort(key=place)
    return rows, split.train_only


def _with_one_label(usable: Sequence[_Usable], groups: Sequence[str], found: Found) -> tuple[list[_Usable], list[str]]:
    """Those whose group has one label, with their groups; `found` gets the others."""
    labels: dict[str, set[str]] = {}
    for (file, _), group in zip(usable, groups, strict=True):
        labels.setdefault(group, set()).add(file.class_name)
    kept = []
    for photo, group in zip(usable, groups, strict=True):
        if len(labels[group]) == 1:
            kept.append((photo, group))
        else:
            names = " and ".join(sorted(labels[group]))
            found.exclude(
                photo[0].source,
                "two_labels",
                f"like pictures (group {group}) are labelled {names}",
                photo[0].class_name,
            )
    if not kept:
        raise UserError("all photos are of pictures with different labels; --two-labels train uses them")
    return [photo for photo, _ in kept], [group for _, group in kept]


def _without_leaks(usable: Sequence[_Usable], groups: Sequence[str], found: Found) -> tuple[list[_Usable], list[str]]:
    """Those that make the given splits disjoint and their classes learnable; `found` gets the others and a warning."""
    leaks = in_other_splits([file.source for file, _ in usable], groups, found.splits)
    for row, other in leaks.items():
        file = usable[row][0]
        detail = f"it shows what {other} shows, which is in {found.splits[other]}"
        found.exclude(file.source, "in_two_splits", detail, file.class_name)
    if leaks:
        named = ", ".join(sorted(usable[row][0].source for row in leaks)[:3])
        found.warnings.append(f"{len(leaks)} photos of the given splits are in a later split too and left out: {named}")
    taught = {file.class_name for row, (file, _) in enumerate(usable)
              if row not in leaks and found.splits[file.source] == "train"}  # fmt: skip
    kept = []
    for row, photo in enumerate(usable):
        if row not in leaks and photo[0].class_name not in taught:
            found.exclude(photo[0].source, "no_training", "its class has no training photo", photo[0].class_name)
        elif row not in leaks:
            kept.append(row)
    return [usable[row] for row in kept], [groups[row] for row in kept]


def missing_families(found: Found, class_names: Sequence[str]) -> dict[str, dict[str, int]]:
    """The families of which no photo is used: how many of their files were left out, by reason."""
    missing: dict[str, Counter[str]] = {}
    for one in found.excluded:
        if one.family and one.family not in class_names:
            missing.setdefault(one.family, Counter())[one.reason] += 1
    return {family: dict(sorted(reasons.items())) for family, reasons in sorted(missing.items())}


def doubtful(rows: Sequence[Photo]) -> dict[str, list[Photo]]:
    """The groups of like photos that carry different labels, with their photos."""
    members: dict[str, list[Photo]] = {}
    for row in rows:
        members.setdefault(row.group, []).append(row)
    return {group: each for group, each in sorted(members.items()) if len({row.family for row in each}) > 1}


def _warnings(rows: Sequence[Photo], train_only: Sequence[str], fractions: Sequence[float]) -> list[str]:
    lines = []
    if not fractions[-1]:
        lines.append("no photo is kept for test: every score will be of photos by which something was chosen; "
                     "`python -m trainables evaluate` tests the model on photos of your own")  # fmt: skip
    if train_only:
        some = ", ".join(train_only[:5]) + (f" and {len(train_only) - 5} more" if len(train_only) > 5 else "")
        want = f"for want of {groups_needed(fractions)} groups"
        lines.append(f"{len(train_only)} families are in training only, {want}: {some}")
    if mixed := doubtful(rows):
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
    folder: Path, root: Path, rows: Sequence[Photo], sizes: Mapping[str, int]
) -> tuple[list[Photo], list[Shard]]:
    """Write all splits; `sizes` are bytes by photo id. Returns the rows with their shards' names, and the shards."""

    def original(row: Photo) -> bytes:
        try:
            image = (root / row.source).read_bytes()
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


def _manifest(
    root: Path, found: Found, rows: Sequence[Photo], train_only: list[str], shards: list[Shard],
    options: PrepareOptions, listed: ExclusionList | None,
) -> Manifest:  # fmt: skip
    names, sizes = (
        sorted({row.family for row in rows}),
        sorted(Counter((row.split, row.family) for row in rows).items()),
    )
    return Manifest(
        **options.model_dump(include={"seed", "fractions", "splits", "label_level", "min_photos"}),
        fingerprint=fingerprint_of(rows, names),
        class_names=names,
        counts={split: {family: size for (at, family), size in sizes if at == split} for split in SPLITS},
        excluded=dict(sorted(Counter(one.reason for one in found.excluded).items())),
        exclusion_list=listed,
        grouping=list(options.group),
        groups=len({row.group for row in rows}),
        layout=found.layout,
        missing_families=missing_families(found, names),
        train_only_families=train_only,
        two_labels=sum(map(len, doubtful(rows).values())),
        warnings=found.warnings,
        shards=shards,
        source=str(root),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(_LIBRARIES),
    )
