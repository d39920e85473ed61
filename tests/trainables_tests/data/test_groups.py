"""Groups by columns, and `prepare --group` on photos that come with columns."""

from collections import Counter
from pathlib import Path

import pytest

from tests.trainables_tests.data.listed_photos import draw, write_coco
from tests.trainables_tests.drawn_photos import drawn
from trainables.data.dataset import SPLITS, Dataset, Photo, open_dataset
from trainables.data.groups import check_rules, group_photos, rules_for
from trainables.data.layouts import find_photos
from trainables.data.leaks import prove_disjoint
from trainables.data.options import PrepareOptions
from trainables.data.photo_files import Found, PhotoFile
from trainables.data.prepare import prepare
from trainables.errors import UserError
from trainables.near_duplicates.descriptor import describe

COLUMNS = ("station", "day")
VALUES = [("n", "1"), ("n", "2"), ("s", "2"), ("s", ""), ("", "")]
PHOTOS = [PhotoFile("abcde"[at], f"{at}.jpg", "f", values=values) for at, values in enumerate(VALUES)]
HASHES = [f"h{at}" for at in range(5)]
DESCRIPTORS = [describe(drawn(number)) for number in range(5)]


@pytest.mark.parametrize(
    ("rules", "groups"),
    [
        (["station"], ["a", "a", "c", "c", "e"]),
        (["day"], ["a", "b", "b", "d", "e"]),
        (["station", "day"], ["a", "a", "a", "a", "e"]),
        (["station+day"], ["a", "b", "c", "d", "e"]),
        (["none"], ["a", "b", "c", "d", "e"]),
    ],
)
def test_photos_with_one_value_of_a_column_are_one_group(rules: list[str], groups: list[str]) -> None:
    grouping = group_photos(PHOTOS, HASHES, DESCRIPTORS, rules, COLUMNS)
    assert grouping.groups == groups
    assert grouping.alike == ["a", "b", "c", "d", "e"]  # A station's photos do not show the same.


def test_crops_of_one_photo_are_one_group() -> None:
    crops = [PhotoFile("a", "1.jpg", "f"), PhotoFile("b", "1.jpg", "g"), PhotoFile("c", "2.jpg", "f")]
    assert group_photos(crops, HASHES[:3], DESCRIPTORS[:3], ["none"]).groups == ["a", "a", "c"]


def test_a_rule_that_is_no_column_names_the_columns() -> None:
    with pytest.raises(UserError, match=r"called 'camera'; the rules are .*none; the columns are station, day"):
        check_rules(["station+camera"], PHOTOS, COLUMNS)
    with pytest.raises(UserError, match="these photos come without columns"):
        check_rules(["station"], PHOTOS)


def test_by_default_what_the_data_say_is_one_sequence_stays_together() -> None:
    found = Found("x", PHOTOS, columns=("sequence",), together=("sequence",))
    assert rules_for(found, ["near-duplicates"]) == ("near-duplicates", "sequence")
    assert rules_for(found, ["none"]) == ("none",)


@pytest.fixture
def stations(tmp_path: Path) -> Path:
    """Eight stations, four of six families at each, in sequences of two photos."""
    sources, images, annotations = [], [], []
    for station in range(8):
        for number in range(16):
            family, source = (station + number % 4) % 6, f"s{station}/{number:02d}.jpg"
            sources.append(source)
            images.append({"id": source, "file_name": source, "location": f"s{station}",
                           "seq_id": f"s{station}q{number % 4}{number // 8}",
                           "datetime": f"2020-{1 + number // 2:02d}-01 0{station}:00:00"})  # fmt: skip
            annotations.append({"id": source, "image_id": source, "category_id": family})
    root = draw(tmp_path / "photos", *sources)
    return write_coco(root / "cct.json", images, annotations, [f"family_{number}" for number in range(6)])


def prepared(photos: Path, **options: object) -> tuple[Dataset, dict[str, Photo]]:
    prepare(photos, photos.parent / "out", PrepareOptions.model_validate({"workers": 1} | options))
    dataset = open_dataset(photos.parent / "out")
    return dataset, {row.source: row for split in SPLITS for row in dataset.photos(split)}


def test_a_split_by_station_has_every_family_in_training(stations: Path) -> None:
    dataset, rows = prepared(stations, group=("near-duplicates", "station"))
    by_station: dict[str, set[str]] = {}
    for source, row in rows.items():
        by_station.setdefault(source.split("/")[0], set()).add(row.split)
    assert all(len(splits) == 1 for splits in by_station.values())
    assert len({row.split for row in rows.values()}) == 3
    counts = Counter((row.split, row.family) for row in rows.values())
    assert all(counts["train", family] for family in dataset.class_names)
    assert all(counts["validation", family] + counts["test", family] for family in dataset.class_names)
    assert dataset.manifest.two_labels == 0 and dataset.manifest.train_only_families == []
    assert dataset.manifest.grouping == ["near-duplicates", "station"]
    missing = [line for line in dataset.manifest.warnings if "have no photo in" in line]
    for split in ("validation", "test"):
        said = sum(not counts[split, family] for family in dataset.class_names)
        assert any(f"{said} families have no photo in {split}" in line for line in missing) == bool(said)
    proof = prove_disjoint(dataset)
    assert proof.passed and not any("two labels" in note for note in proof.notes)


def test_sequences_are_kept_together_by_default(stations: Path) -> None:
    dataset, rows = prepared(stations)
    assert dataset.manifest.grouping == ["near-duplicates", "sequence"]
    assert find_photos(stations).together == ("sequence",)
    for station in range(8):
        assert rows[f"s{station}/00.jpg"].split == rows[f"s{station}/04.jpg"].split


def test_a_split_by_time_judges_what_was_taken_after_what_was_learnt(stations: Path) -> None:
    dataset, rows = prepared(stations, split_by_time=True, group=("none",))
    months = {split: {int(source[3:5]) // 2 for source, row in rows.items() if row.split == split} for split in SPLITS}
    assert max(months["train"]) <= min(months["validation"]) <= max(months["validation"]) <= min(months["test"])
    assert dataset.manifest.split_by_time


def test_a_group_too_large_to_be_split_is_refused_in_one_line(stations: Path) -> None:
    text = (stations / "cct.json").read_text().replace('"location": "s', '"location": "x", "was": "s')
    (stations / "cct.json").write_text(text)
    with pytest.raises(UserError, match=r"no class has 3 groups of photos|no photo is left for validation"):
        prepared(stations, group=("station",))


def test_the_study_s_metadata_have_columns_too(tmp_path: Path) -> None:
    draw(tmp_path, "a/1.jpg", "a/2.jpg")
    head = "rare_species_id,eol_content_id,eol_page_id,phylum,family,file_path,photographer"
    rows = [f"id{number},{number},46,chordata,felidae,a/{number}.jpg,ann" for number in (1, 2)]
    (tmp_path / "metadata.csv").write_text("\n".join([head, *rows]) + "\n")
    found = find_photos(tmp_path)
    grouping = group_photos(found.photos, HASHES[:2], DESCRIPTORS[:2], ["photographer"], found.columns)
    assert grouping.groups == ["id1", "id1"]
