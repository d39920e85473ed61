"""Prepare a dataset from a folder of photos.

The steps: find, exclude, decode, group, split, write; the manifest last, and the folder whole or not at all.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from trainables.data.cautions import doubtful, missing_families, not_kept, vanished, what_to_know
from trainables.data.crops import parse_box
from trainables.data.dataset import (
    EXCLUDED,
    MANIFEST,
    PHOTOS,
    SPLITS,
    Manifest,
    Photo,
    Shard,
    fingerprint_of,
)
from trainables.data.exclusion_list import apply_exclusion_list
from trainables.data.exif_times import with_times
from trainables.data.formats.megadetector import crop_found
from trainables.data.formats.taxonomy import key
from trainables.data.groups import Grouping, group_photos, rules_for
from trainables.data.layouts import find_photos
from trainables.data.options import DATA_BOXES, PrepareOptions
from trainables.data.photo_files import Exclusion, Found, Inspection, PhotoFile, inspect_files, photo_bytes
from trainables.data.rare_species import LEVELS
from trainables.data.shards import write_split
from trainables.data.splits.given_splits import check_given, given_split, without_leaks
from trainables.data.splits.split import Split, groups_needed, split_groups
from trainables.data.splits.time_split import split_by_time
from trainables.device import give_memory_back
from trainables.errors import UserError
from trainables.files.output import check_free, whole_or_nothing, write_json, write_rows
from trainables.taxonomy import Taxonomy, taxonomy_of
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
    _check(options)
    check_free(out)
    if out.is_relative_to(root):
        raise UserError(f"{out} lies in the folder of photos, where it would be taken for a class; write it elsewhere")
    boxes = options.crop == DATA_BOXES
    found = find_photos(root, options.label_level, options.taxonomy, options.also, boxes)
    place = found.folder(root)
    rules = rules_for(found, options.group)
    _look_at_splits(found, options)
    say(f"found {len(found.photos)} photos in {root} ({found.layout})")
    exclusion_list = apply_exclusion_list(found, options.exclude)
    crops = crop_found(found, options)
    usable = _usable_photos(place, found, options)
    say(f"{len(usable)} of them can be used; {len(found.excluded)} files or rows are left out")
    rows, train_only, two_labels = _split_rows(place, usable, found, options, rules)
    sizes = {file.photo_id: seen.bytes for file, seen in usable}
    taxonomy = ranks_above(found, options.label_level, sorted({row.family for row in rows}))
    # What is needed of the photos stands in the rows; TensorFlow comes next, and takes 0.7 GB.
    del usable
    found.photos = []
    give_memory_back()
    with whole_or_nothing(out, needed_bytes=sum(sizes.values())) as folder:
        say(f"writing {len(rows)} photos to {out}")
        rows, shards = _write_shards(folder, place, rows, sizes, options.crop_padding)
        write_rows(folder / PHOTOS, Photo._fields, rows)
        write_rows(folder / EXCLUDED, Exclusion._fields, sorted(found.excluded))
        manifest = _manifest(root, found, rows, shards, options).model_copy(
            update={"grouping": list(rules), "train_only_families": train_only, "two_labels": two_labels,
                    "exclusion_list": exclusion_list, "crops": crops, "taxonomy": taxonomy}
        )  # fmt: skip
        write_json(manifest.model_dump(), folder / MANIFEST)
    return manifest


def _check(options: PrepareOptions) -> None:
    """Refuse options that contradict themselves or each other."""
    train, validation, test = options.fractions
    if not (0 < train < 1 and 0 < validation < 1 and 0 <= test < 1):
        needs = f"--fractions needs three numbers between 0 and 1 ({', '.join(SPLITS)}), of which only test's may be 0"
        raise UserError(f"{needs}, not {options.fractions}")
    if not math.isclose(total := sum(options.fractions), 1, abs_tol=1e-6):
        raise UserError(f"--fractions must add up to 1, and {' + '.join(map(str, options.fractions))} is {total:g}")
    if options.split_by_time and options.splits == "given":
        raise UserError(
            "--split-by-time makes a split, and --splits given keeps the one that is there; give one of them"
        )


def _look_at_splits(found: Found, options: PrepareOptions) -> None:
    """Refuse photos that came in no splits where these are to be kept; warn where they did and are not."""
    if options.splits == "given":
        check_given(found.splits)
    elif found.splits:
        there = " and ".join(sorted(set(found.splits.values())))
        found.warnings.append(f"the photos came in splits ({there}) and are split anew; --splits given keeps them")


def _usable_photos(root: Path, found: Found, options: PrepareOptions) -> list[_Usable]:
    """The photos that decode, have one label, and are of a class that is large enough; `found` gets the others."""
    usable = []
    sources = [file.source for file in found.photos]
    boxes = [file.box for file in found.photos]
    inspected = inspect_files(root, sources, options.workers, boxes, options.crop_padding)
    for file, seen in zip(found.photos, inspected, strict=True):
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
    if options.splits == "given":
        kept = without_leaks([file for file, _ in usable], groups, alike, found)
        usable = [usable[row] for row in kept]
        groups, alike = ([names[row] for row in kept] for names in (groups, alike))
    classes = [file.class_name for file, _ in usable]
    split = _split(root, [file for file, _ in usable], Grouping(groups, alike), found, options)
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
    given = options.splits == "given"
    fractions = [sum(row.split == each for row in rows) / len(rows) for each in SPLITS] if given else options.fractions
    found.warnings += [*what_to_know(rows, split.train_only, mixed, fractions, given), *split.notes]
    found.warnings += [*not_kept(rows, split.train_only, fractions), *vanished(found, class_names)]

    def order(row: Photo) -> tuple[int, str]:
        """Mixes the classes, so that a reader's shuffle buffer can be small; the same on every machine."""
        return SPLITS.index(row.split), hashlib.sha256(f"{options.seed} {row.photo_id}".encode()).hexdigest()

    rows.sort(key=order)
    return rows, split.train_only, sum(row.split == SPLITS[0] for each in mixed.values() for row in each)


def _split(root: Path, photos: Sequence[PhotoFile], grouping: Grouping, found: Found, options: PrepareOptions) -> Split:
    """The split as it is asked for: as given, by time, or by chance."""
    groups, alike = grouping
    classes = [photo.class_name for photo in photos]
    if options.splits == "given":
        sources = [photo.source for photo in photos]
        return given_split(sources, groups, classes, alike, found.splits, options.fractions, options.seed)
    if options.split_by_time:
        return split_by_time(with_times(root, photos), groups, options.fractions)
    return split_groups(groups, classes, options.fractions, options.seed, alike)


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
            detail = f"like pictures (group {group}) are labelled {names}"
            found.exclude(photo[0].source, "two_labels", detail, photo[0].class_name)
    if not kept:
        raise UserError("all photos are of pictures with different labels; --two-labels train uses them")
    return [photo for photo, _, _ in kept], [group for _, group, _ in kept], [like for _, _, like in kept]


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
    taxonomy = taxonomy_of((*above, level), rows, labels)
    # Labels of another column than their level's are no taxa of it.
    return taxonomy if len({*taxonomy.names}) == len(labels) else None


def _manifest(
    root: Path, found: Found, rows: Sequence[Photo], shards: list[Shard], options: PrepareOptions
) -> Manifest:  # fmt: skip
    """The manifest, but for what `prepare` alone knows."""
    names, sizes = (
        sorted({row.family for row in rows}),
        sorted(Counter((row.split, row.family) for row in rows).items()),
    )
    return Manifest(
        **options.model_dump(include={"seed", "fractions", "splits", "label_level", "min_photos", "split_by_time"}),
        fingerprint=fingerprint_of(rows, names),
        class_names=names,
        counts={split: {family: size for (at, family), size in sizes if at == split} for split in SPLITS},
        excluded=dict(sorted(Counter(one.reason for one in found.excluded).items())),
        exclusion_list=None,
        grouping=[],
        groups=len({row.group for row in rows}),
        layout=found.layout,
        missing_families=missing_families(found, names),
        train_only_families=[],
        warnings=found.warnings,
        shards=shards,
        source=str(root),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(_LIBRARIES),
    )
