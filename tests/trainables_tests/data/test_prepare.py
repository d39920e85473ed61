import csv
import hashlib
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.checkout import ROOT
from tests.trainables_tests.data.test_layouts import hub_copy, real_rows
from tests.trainables_tests.drawn_photos import QUICK, drawn, encoded, write_photos
from trainables.data import prepare as preparing
from trainables.data.dataset import (
    EXCLUDED,
    MANIFEST,
    PHOTOS,
    SPLITS,
    Dataset,
    Manifest,
    Photo,
    open_dataset,
)
from trainables.data.leaks import prove_disjoint
from trainables.data.photo_files import Found, PhotoFile
from trainables.data.prepare import PrepareOptions, prepare, ranks_above
from trainables.data.shards import read_split
from trainables.errors import UserError

FAMILIES = {"a": 20, "b": 10, "c": 7}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_photos(tmp_path / "photos", FAMILIES)
    return tmp_path / "photos"


def prepared(photos: Path, name: str = "out", **options: object) -> Dataset:
    prepare(photos, photos.parent / name, PrepareOptions.model_validate({"workers": 1} | options))
    return open_dataset(photos.parent / name)


def all_photos(dataset: Dataset) -> dict[str, Photo]:
    return {row.source: row for split in SPLITS for row in dataset.photos(split)}


def excluded(dataset: Dataset) -> dict[str, str]:
    with (dataset.folder / EXCLUDED).open(encoding="utf-8", newline="") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file)}


def test_original_bytes_are_kept_and_every_row_is_true(photos: Path) -> None:
    dataset = prepared(photos)
    rows = {row.photo_id: row for row in all_photos(dataset).values()}
    seen = 0
    for split in SPLITS:
        for photo in read_split(dataset, split):
            row = rows[photo.photo_id]
            assert photo.image == (photos / row.source).read_bytes()
            assert (row.split, row.label, row.family) == (split, photo.label, row.source.split("/")[0])
            assert row.sha256 == hashlib.sha256(photo.image).hexdigest()
            assert (row.width, row.height) == (96, 72)
            seen += 1
    assert seen == len(rows) == sum(FAMILIES.values())


def test_the_manifest_tells_what_was_made(photos: Path) -> None:
    manifest = prepared(photos, seed=3).manifest
    assert manifest.class_names == ["a", "b", "c"]
    totals = Counter(dict.fromkeys(FAMILIES, 0))
    for counts in manifest.counts.values():
        totals.update(counts)
    assert totals == FAMILIES
    assert [manifest.counts[split]["b"] for split in SPLITS] in ([7, 2, 1], [7, 1, 2])
    assert (manifest.seed, manifest.fractions, manifest.grouping) == (3, (0.7, 0.15, 0.15), ["near-duplicates"])
    assert manifest.source == str(photos)
    assert sum(shard.photos for shard in manifest.shards) == 37
    assert (manifest.excluded, manifest.warnings, manifest.train_only_families) == ({}, [], [])


def test_the_same_photos_and_seed_make_the_same_dataset_wherever_they_lie(photos: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "else/photos", FAMILIES)
    first, second = prepared(photos), prepared(tmp_path / "else/photos")
    assert first.fingerprint == second.fingerprint
    assert first.manifest.shards == second.manifest.shards
    assert prepared(photos, "other", seed=1).fingerprint != first.fingerprint


def test_worker_processes_make_the_same_dataset(photos: Path) -> None:
    write_photos(photos, {"d": 100}, start=500)
    assert prepared(photos, "two", workers=2).fingerprint == prepared(photos, "one").fingerprint


def test_metadata_or_not_the_families_and_their_shares_are_the_same(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    sources = write_photos(photos, {"x_a": 20, "x_b": 10})
    plain = prepared(photos)
    header = "rare_species_id,eol_content_id,eol_page_id,kingdom,phylum,family,file_path"
    rows = [f"id{n},{n},7,animalia,x,{source[2]},{source}" for n, source in enumerate(sources)]
    (photos / "metadata.csv").write_text("\n".join([header, *rows]))
    reported = prepared(photos, "told")
    assert reported.class_names == plain.class_names == ("x_a", "x_b")
    assert reported.manifest.counts["train"] == plain.manifest.counts["train"]
    assert {row.photo_id for row in all_photos(reported).values()} == {f"id{n}" for n in range(30)}


def test_a_family_with_one_or_two_photos_is_in_training_only_and_told(photos: Path) -> None:
    write_photos(photos, {"one": 1, "two": 2}, start=100)
    dataset = prepared(photos)
    assert dataset.manifest.train_only_families == ["one", "two"]
    assert {row.split for row in all_photos(dataset).values() if row.family in ("one", "two")} == {"train"}
    assert dataset.manifest.warnings == ["2 families are in training only, for want of 3 groups: one, two"]


def test_small_families_are_left_out_by_name_when_asked(photos: Path) -> None:
    dataset = prepared(photos, min_photos=10)
    assert dataset.class_names == ("a", "b")
    assert dataset.manifest.excluded == {"small_class": 7}
    assert set(excluded(dataset).values()) == {"small_class"}


def test_copies_stay_in_one_split(photos: Path) -> None:
    copies = []
    for source in write_photos(photos, {"a": 20}):  # writes the same twenty again
        copies += [(source, f"{source[:-4]}{name}") for name in ("_renamed.jpg", "_small.png", "_mirrored.jpg")]
        picture = Image.open(photos / source)
        (photos / f"{source[:-4]}_renamed.jpg").write_bytes((photos / source).read_bytes())
        picture.resize((48, 36)).save(photos / f"{source[:-4]}_small.png")
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / f"{source[:-4]}_mirrored.jpg", quality=70)
    rows = all_photos(prepared(photos))
    assert len(copies) == 60
    assert all(rows[source].group == rows[copy].group for source, copy in copies)
    assert all(rows[source].split == rows[copy].split for source, copy in copies)
    assert {row.split for row in rows.values() if row.family == "a"} == set(SPLITS)


def test_without_test_all_photos_are_for_training_and_validation_and_that_is_said(photos: Path) -> None:
    dataset = prepared(photos, fractions=(0.8, 0.2, 0.0))
    assert not dataset.tested and dataset.photos("test") == [] and list(read_split(dataset, "test")) == []
    assert {split: len(dataset.photos(split)) for split in ("train", "validation")} == {"train": 30, "validation": 7}
    assert any("no photo is kept for test" in line for line in dataset.manifest.warnings)
    assert prove_disjoint(dataset).passed


def test_like_pictures_with_two_labels_are_listed_and_left_out_on_request(photos: Path) -> None:
    (photos / "b" / "again.webp").write_bytes(encoded(Image.open(photos / "a" / "000.jpg").convert("RGB"), "WEBP"))
    dataset = prepared(photos)
    (line,) = [line for line in dataset.manifest.warnings if "different labels" in line]
    assert "a/000.jpg and b/again.webp" in line and "--two-labels exclude" in line
    assert dataset.manifest.two_labels == 2
    (note,) = prove_disjoint(dataset).notes
    assert "one picture, two labels: a/000.jpg (a), b/again.webp (b)" in note
    without = prepared(photos, "without", two_labels="exclude")
    assert excluded(without) == {"a/000.jpg": "two_labels", "b/again.webp": "two_labels"}
    assert without.manifest.two_labels == 0 and prove_disjoint(without).notes == []


def test_equal_bytes_with_two_labels_are_left_out(photos: Path) -> None:
    (photos / "b/copy.jpg").write_bytes((photos / "a/000.jpg").read_bytes())
    dataset = prepared(photos)
    assert excluded(dataset) == {"a/000.jpg": "two_labels", "b/copy.jpg": "two_labels"}


def test_the_exclusion_list_is_honoured_and_recorded(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a/000.jpg # a map\na/gone.jpg\n")
    dataset = prepared(photos, exclude=tmp_path / "list.txt")
    assert excluded(dataset) == {"a/000.jpg": "listed"}
    record = dataset.manifest.exclusion_list
    assert record is not None
    assert (record.entries, record.matched) == (2, 1)
    assert record.sha256 == hashlib.sha256((tmp_path / "list.txt").read_bytes()).hexdigest()
    assert dataset.manifest.warnings == ["1 of the 2 entries of list.txt name no photo: a/gone.jpg"]


def odd_photos() -> dict[str, bytes]:
    animation = io.BytesIO()
    drawn(201).save(animation, "GIF", save_all=True, append_images=[drawn(202)])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return {
        "empty.jpg": b"",
        "cut.jpg": encoded(drawn(203))[:900],
        "text.jpg": b"this is no picture",
        "animated.gif": animation.getvalue(),
        "cmyk.jpg": encoded(drawn(204).convert("CMYK")),
        "palette.png": encoded(drawn(205).convert("P"), "PNG"),
        "sixteen.png": encoded(Image.fromarray(_sixteen_bits()), "PNG"),
        "alpha.png": encoded(drawn(206).convert("RGBA"), "PNG"),
        "turned.jpg": encoded(drawn(207), exif=exif),
        "big.jpg": encoded(drawn(208).resize((7300, 5500))),
        "été 鳥.jpg": encoded(drawn(209)),
        f"{'long' * 60}.jpg": encoded(drawn(210)),
    }


def _sixteen_bits() -> "object":
    import numpy as np

    return (np.asarray(drawn(211).convert("L")).astype(np.uint16)) * 257


def test_odd_photos_are_used_or_listed_and_never_lost(photos: Path) -> None:
    for name, content in odd_photos().items():
        (photos / "a" / name).write_bytes(content)
    dataset = prepared(photos)
    assert excluded(dataset) == {"a/empty.jpg": "empty", "a/cut.jpg": "truncated", "a/text.jpg": "unreadable"}
    assert dataset.manifest.excluded == {"empty": 1, "truncated": 1, "unreadable": 1}
    rows = all_photos(dataset)
    assert len(rows) == 37 + len(odd_photos()) - 3
    assert (rows["a/turned.jpg"].width, rows["a/turned.jpg"].height) == (72, 96)
    images = {photo.photo_id: photo.image for split in SPLITS for photo in read_split(dataset, split)}
    for name, content in odd_photos().items():
        if f"a/{name}" in rows:
            assert images[rows[f"a/{name}"].photo_id] == content


def test_bursts_and_species_are_kept_together_where_metadata_tell(photos: Path) -> None:
    header = "rare_species_id,eol_content_id,eol_page_id,kingdom,phylum,family,file_path"
    rows = [f"id{n},{n // 2 * 10 + n % 2},{n // 4},animalia,x,a,a/{n:03d}.jpg" for n in range(20)]
    rows += [f"id9{n},{1000 + 10 * n},9{n},animalia,x,b,b/{n:03d}.jpg" for n in range(10)]
    (photos / "metadata.csv").write_text("\n".join([header, *rows]))
    for rule, size in (("bursts", 2), ("species", 4)):
        family = [row for row in all_photos(prepared(photos, rule, group=(rule,))).values() if row.family == "x_a"]
        assert {tuple(Counter(row.group for row in family).values())} == {(size,) * (20 // size)}
        assert len({(row.group, row.split) for row in family}) == 20 // size
        assert {row.split for row in family} == set(SPLITS)


BAD = {
    "no folder": ("nowhere", {}, "is not a folder"),
    "fractions that miss 1": ("photos", {"fractions": (0.7, 0.2, 0.2)}, "must add up to 1, and .* is 1.1"),
    "no validation": ("photos", {"fractions": (0.8, 0.0, 0.2)}, "of which only test's may be 0"),
    "unknown level": ("photos", {"label_level": "tribe"}, "no label level is called 'tribe'"),
    "unknown rule": ("photos", {"group": ("scene",)}, "no grouping rule is called 'scene'"),
    "bursts without metadata": ("photos", {"group": ("bursts",)}, "--group bursts needs metadata"),
    "list that is not there": ("photos", {"exclude": Path("gone.txt")}, "gone.txt does not exist"),
    "all families too small": ("photos", {"min_photos": 99}, "no photo of .* can be used: 37 small_class"),
    "one family": ("photos", {"min_photos": 15}, "all photos are of one class"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line_and_writes_nothing(case: str, photos: Path) -> None:
    folder, options, line = BAD[case]
    with pytest.raises(UserError, match=line) as caught:
        prepared(photos.parent / folder, **options)
    assert "\n" not in str(caught.value)
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_families_that_are_all_too_small_to_split_are_refused(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", {"a": 2, "b": 2})
    with pytest.raises(UserError, match="no class has 3 groups of photos"):
        prepared(tmp_path / "photos")


def test_an_output_that_holds_anything_or_lies_among_the_photos_is_refused(photos: Path) -> None:
    (photos.parent / "out").mkdir()
    (photos.parent / "out/mine.txt").touch()
    with pytest.raises(UserError, match=r"out is not empty \(mine.txt\)"):
        prepared(photos)
    with pytest.raises(UserError, match="lies in the folder of photos"):
        prepare(photos, photos / "dataset", QUICK)
    assert not (photos / "dataset").exists()


@pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_bytes(b"other")])
def test_a_photo_that_changes_meanwhile_stops_everything(change, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def group_then_change(*arguments: object) -> object:
        change(photos / "a/000.jpg")
        return group(*arguments)

    group = preparing.group_photos
    monkeypatch.setattr(preparing, "group_photos", group_then_change)
    with pytest.raises(UserError, match=r"a/000\.jpg (cannot be read any more|changed while the dataset was made)"):
        prepared(photos)
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_ctrl_c_leaves_nothing(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, *arguments: object) -> None:
        (folder / "train-00000-of-00001.tfrecord").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "write_split", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepared(photos)
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_the_manifest_is_written_last(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[set[str]] = []

    def write(value: object, file: Path) -> None:
        there.append({path.name for path in file.parent.iterdir()})
        (file.parent / MANIFEST).write_text(Manifest.model_validate(value).model_dump_json())

    monkeypatch.setattr(preparing, "write_json", write)
    dataset = prepared(photos)
    assert there == [{PHOTOS, EXCLUDED, *(shard.file for shard in dataset.manifest.shards)}]


def test_a_disk_that_fills_up_half_way_is_one_line_and_leaves_nothing(photos: Path) -> None:
    # No file may grow beyond 20,000 bytes: the training shard hits it half way, as it would hit a disk's end.
    program = (
        "import resource, sys; from pathlib import Path; from trainables.data.prepare import PrepareOptions, prepare\n"
        "from trainables.errors import run_command; import tensorflow\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "sys.exit(run_command(lambda: prepare(Path(sys.argv[1]), Path(sys.argv[2]), PrepareOptions(workers=1)) and 0))"
    )
    command = [sys.executable, "-c", program, str(photos), str(photos.parent / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: train-00000-of-00001.tfrecord c")
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


@pytest.mark.slow
def test_the_real_set_s_paths_make_one_dataset_in_both_layouts(shared: Path, tmp_path: Path) -> None:
    rows = real_rows(shared)
    for number, row in enumerate(rows):
        file = tmp_path / "study" / row["file_path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(drawn(number, (64, 48))))
    (tmp_path / "study/metadata.csv").write_bytes((shared / "data/eol_rare_species_metadata.csv").read_bytes())
    hub_copy(tmp_path / "hub", rows)
    for row in rows:
        name = f"{row['eol_content_id']}_{row['eol_page_id']}_eol-full-size-copy.jpg"
        [copy] = (tmp_path / "hub/dataset").glob(f"*Genus{row['eol_page_id']}-*/{name}")
        copy.write_bytes((tmp_path / "study" / row["file_path"]).read_bytes())
    rules = ("near-duplicates", "bursts")
    study, hub = (prepared(tmp_path / name, f"of {name}", group=rules, workers=2) for name in ("study", "hub"))
    assert study.fingerprint == hub.fingerprint
    split_of = {(int(r["eol_content_id"]), r["eol_page_id"]): r["file_path"] for r in rows}
    photos = all_photos(study)
    assert len(photos) == 11_983
    parted = sum(
        photos[path].split != photos[split_of[content + 1, page]].split
        for (content, page), path in split_of.items()
        if (content + 1, page) in split_of
    )
    assert parted == 0
    assert len(study.class_names) == 202
    small = set(study.manifest.train_only_families)  # a family of one long burst cannot be in three splits
    assert len(small) < 10
    for name in set(study.class_names) - small:
        total = sum(study.manifest.counts[split].get(name, 0) for split in SPLITS)
        assert all(study.manifest.counts[split][name] >= 1 for split in SPLITS), (name, total)


def test_the_ranks_above_the_labels_are_those_of_the_metadata_s_columns() -> None:
    photos = [
        PhotoFile("1", "a.jpg", "mollusca_unionidae", values=("1", "Mollusca", "Unionidae", "Cyprogenia")),
        PhotoFile("2", "b.jpg", "chordata_felidae", values=("2", "Chordata", "Felidae", "Lynx")),
        PhotoFile("3", "c.jpg", "chordata_small", values=("3", "Chordata", "", "Lynx")),
    ]
    found = Found("study metadata", photos, columns=("id", "phylum", "Family", "genus"))
    labels = ("chordata_felidae", "mollusca_unionidae")
    tree = ranks_above(found, "family", labels)
    assert tree is not None and tree.ranks == ("phylum", "family")
    assert tree.names == (("chordata", "felidae"), ("mollusca", "unionidae"))
    # A species is known by its page, which is no column; the level "name" has no rank; a phylum has none above.
    species = ranks_above(found, "species", labels)
    assert species is not None and species.ranks == ("phylum", "family", "genus", "species")
    assert species.names[0] == ("chordata", "felidae", "lynx", "chordata_felidae")
    assert ranks_above(found, "name", labels) is ranks_above(found, "phylum", labels) is None
    assert ranks_above(Found("class folders", photos), "family", labels) is None


def test_a_family_that_vanishes_is_named(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", {"a": 8, "b": 8, "small": 2})
    for number in range(3):
        (tmp_path / "photos/gone").mkdir(exist_ok=True)
        (tmp_path / f"photos/gone/{number}.nef").write_bytes(b"II*\0")
        (tmp_path / "photos/cut").mkdir(exist_ok=True)
        (tmp_path / f"photos/cut/{number}.jpg").write_bytes(encoded(drawn(1))[:900])
    (tmp_path / "photos/empty").mkdir()
    manifest = prepared(tmp_path / "photos", min_photos=5).manifest
    assert manifest.missing_families == {
        "cut": {"truncated": 3}, "empty": {"empty_folder": 1}, "gone": {"not_a_photo": 3}, "small": {"small_class": 2}
    }  # fmt: skip
    assert manifest.warnings == [
        "3 families have no photo that can be used and are missing: cut (3 truncated), empty (1 empty_folder), "
        "gone (3 not_a_photo)"
    ]


def test_photos_of_phones_and_files_without_an_ending_are_prepared(tmp_path: Path) -> None:
    for family, start in (("a", 0), ("b", 20)):
        (tmp_path / "photos" / family).mkdir(parents=True)
        kinds = {".HEIC": "HEIF", ".jp2": "JPEG2000", "": "JPEG", ".jpg": "JPEG"}
        for number, (ending, kind) in enumerate(kinds.items()):
            (tmp_path / "photos" / family / f"{number}{ending}").write_bytes(encoded(drawn(start + number), kind))
        jxl = imagecodecs.jpegxl_encode(np.asarray(drawn(start + 9)), level=90)
        (tmp_path / "photos" / family / "9.jxl").write_bytes(jxl)
    dataset = prepared(tmp_path / "photos")
    assert (len(all_photos(dataset)), excluded(dataset)) == (10, {})
    assert prove_disjoint(dataset).passed
