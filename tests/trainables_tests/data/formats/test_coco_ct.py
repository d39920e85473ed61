from pathlib import Path

import pytest

from tests.trainables_tests.data.listed_photos import draw, write_coco, write_detections
from trainables.data.crops import Box
from trainables.data.layouts import find_photos
from trainables.errors import UserError

CATEGORIES = ("empty", "ocelot", "paca", "human")


def image(number: int, **more: object) -> dict[str, object]:
    return {"id": f"i{number}", "file_name": f"north\\{number}.jpg", "location": "north", "seq_id": f"s{number // 2}",
            "datetime": "2020:05:30 04:57:37", "width": 96, "height": 72, **more}  # fmt: skip


def annotation(number: int, category: int, **more: object) -> dict[str, object]:
    return {"id": f"a{number}", "image_id": f"i{number}", "category_id": category, **more}


def photos(root: Path, count: int) -> Path:
    return draw(root, *(f"north/{number}.jpg" for number in range(count)))


def test_string_ids_several_annotations_and_empty_photos_are_read(tmp_path: Path) -> None:
    write_coco(
        photos(tmp_path, 7) / "annotations.json",
        [image(number) for number in range(5)] + [image(5, corrupt=True), image(6, file_name="north/gone.jpg")],
        [
            annotation(0, 1), annotation(0, 1), annotation(1, 0), annotation(2, 1), annotation(2, 2),
            annotation(3, 9), annotation(5, 1), annotation(6, 1),
        ],
        CATEGORIES,
    )  # fmt: skip
    found = find_photos(tmp_path)
    [photo] = found.photos
    assert (photo.photo_id, photo.source, photo.class_name) == ("i0", "north/0.jpg", "ocelot")
    assert dict(zip(found.columns, photo.values, strict=True)) == {
        "datetime": "2020:05:30 04:57:37", "location": "north", "seq_id": "s0",
        "station": "north", "sequence": "s0", "day": "2020-05-30",
    }  # fmt: skip
    assert photo.time is not None and photo.time.isoformat() == "2020-05-30T04:57:37"
    assert sorted((one.source, one.reason) for one in found.excluded) == [
        ("north/1.jpg", "no_animal"), ("north/2.jpg", "two_labels"), ("north/3.jpg", "bad_row"),
        ("north/4.jpg", "no_label"), ("north/5.jpg", "unreadable"), ("north/6.jpg", "no_row"),
        ("north/gone.jpg", "no_file"),
    ]  # fmt: skip
    assert "2 names are the labels as they are" in found.warnings[-1]


def test_boxes_of_the_data_are_crops_in_pixels_or_in_shares(tmp_path: Path) -> None:
    write_coco(
        photos(tmp_path, 2) / "annotations.json",
        [image(0), image(1)],
        [
            annotation(0, 1, bbox=[24, 18, 48, 36]),
            annotation(0, 2, bbox_relative=[0.5, 0.5, 0.25, 0.25]),
            annotation(1, 1),
        ],
        CATEGORIES,
    )
    found = find_photos(tmp_path, boxes=True)
    assert sorted((photo.class_name, photo.box) for photo in found.photos) == [
        ("ocelot", Box(0.25, 0.25, 0.5, 0.5)),
        ("paca", Box(0.5, 0.5, 0.25, 0.25)),
    ]
    assert {one.source: one.reason for one in found.excluded} == {"north/1.jpg": "no_box"}


def test_a_mapping_file_gives_categories_their_families(tmp_path: Path) -> None:
    write_coco(
        photos(tmp_path, 2) / "annotations.json",
        [image(0), image(1)],
        [annotation(0, 1), annotation(1, 2)],
        CATEGORIES,
    )
    mapping = tmp_path.parent / "families.csv"
    mapping.write_text("species,family\nOcelot,Felidae\n")
    found = find_photos(tmp_path, "family", mapping)
    assert [photo.class_name for photo in found.photos] == ["felidae"]
    assert {one.source: one.detail for one in found.excluded} == {
        "north/1.jpg": "annotations.json images[1]: paca has no family"
    }
    assert found.warnings == ["the taxonomy has no row for 1 names of 1 labels: paca"]
    with pytest.raises(UserError, match="no name has the label level 'genus'; the levels are name"):
        find_photos(tmp_path, "genus")


def test_a_file_for_each_split_is_a_split(tmp_path: Path) -> None:
    photos(tmp_path, 3)
    for number, split in enumerate(("train", "val", "test")):
        write_coco(tmp_path / f"annotations_{split}.json", [image(number)], [annotation(number, 1)], CATEGORIES)
    assert find_photos(tmp_path).splits == {
        "north/0.jpg": "train", "north/1.jpg": "validation", "north/2.jpg": "test"
    }  # fmt: skip


def test_photos_in_a_folder_below_the_file_are_found(tmp_path: Path) -> None:
    draw(tmp_path, "images/north/0.jpg")
    write_coco(tmp_path / "a.json", [image(0)], [annotation(0, 1)], CATEGORIES)
    assert [photo.source for photo in find_photos(tmp_path).photos] == ["images/north/0.jpg"]


def test_case_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    """As programs on Windows write them."""
    file = write_coco(
        photos(tmp_path, 1) / "a.json", [image(0, file_name="North/0.JPG")], [annotation(0, 1)], CATEGORIES
    )
    (file / "a.json").write_bytes(b"\xef\xbb\xbf" + (file / "a.json").read_bytes())
    assert [photo.source for photo in find_photos(tmp_path).photos] == ["north/0.jpg"]


def test_a_damaged_file_is_one_line_and_a_detector_s_file_is_none(tmp_path: Path) -> None:
    write_coco(photos(tmp_path, 1) / "a.json", [{"id": "i0"}], [], CATEGORIES)
    write_detections(tmp_path / "md.json", [])
    with pytest.raises(UserError, match=r"a.json is no COCO Camera Traps file: images.0.file_name: Field required"):
        find_photos(tmp_path)
