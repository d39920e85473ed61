import json
from pathlib import Path

import pytest
from PIL import Image

from tests.trainables_tests.data.listed_photos import detection, draw, write_detections
from tests.trainables_tests.drawn_photos import encoded
from trainables.data.crops import Box, crop
from trainables.data.dataset import SPLITS, open_dataset
from trainables.data.formats.megadetector import crop_photos, read_detections
from trainables.data.layouts import find_photos
from trainables.data.options import PrepareOptions
from trainables.data.prepare import prepare
from trainables.data.shards import read_split
from trainables.errors import UserError


def test_a_failed_photo_is_no_empty_one_and_only_sure_animals_are_cropped(tmp_path: Path) -> None:
    draw(tmp_path / "photos", *(f"fox/{number}.jpg" for number in range(6)))
    boxes = [detection([0.1, 0.1, 0.5, 0.5]), detection([0.6, 0.6, 0.2, 0.2], 0.19), detection([0, 0, 1, 1], 0.9, "2"),
             detection([0, 0, 1, 1], 0.9, "7")]  # fmt: skip
    file = write_detections(
        tmp_path / "md.json",
        [
            {"file": "fox\\0.jpg", "detections": boxes},
            {"file": "fox/1.jpg", "detections": []},
            {"file": "fox/2.jpg", "failure": "Failure image access", "detections": None},
            {"file": "fox/3.jpg", "detections": boxes[1:]},
            {"file": "fox/4.jpg", "detections": [boxes[0], detection([0.5, 0.5, 0.4, 0.4], 0.2)]},
            {"file": "fox/clip.mp4", "frame_rate": 20, "frames_processed": [0], "detections": []},
        ],
    )
    found = find_photos(tmp_path / "photos")
    crop_photos(found, read_detections(file), 0.2)
    assert sorted((photo.source, photo.box) for photo in found.photos) == [
        ("fox/0.jpg", Box(0.1, 0.1, 0.5, 0.5, True, 0.9)),
        ("fox/4.jpg", Box(0.1, 0.1, 0.5, 0.5, True, 0.9)),
        ("fox/4.jpg", Box(0.5, 0.5, 0.4, 0.4, True, 0.2)),
    ]
    assert len({photo.photo_id for photo in found.photos}) == 3
    assert sorted((one.source, one.reason, one.detail) for one in found.excluded) == [
        ("fox/1.jpg", "no_detection", "no animal: nothing was seen"),
        ("fox/2.jpg", "detector_failed", "Failure image access"),
        ("fox/3.jpg", "no_detection", "no animal: at most 0.19 sure, and 0.2 is asked for"),
        ("fox/5.jpg", "not_in_detections", "md.json does not have it"),
    ]
    assert found.warnings == ["1 videos of md.json are passed over"]


def test_the_other_format_of_that_name_is_told_by_its_shape_and_has_corners_in_pixels(tmp_path: Path) -> None:
    file = tmp_path / "md.json"
    corners = {"category": "animal", "confidence": 0.93, "bbox": [24.0, 18.0, 72.0, 54.0]}
    person = {"category": "person", "confidence": 0.93, "bbox": [0, 0, 9, 9]}
    file.write_text(json.dumps([{"file": "a/0.jpg", "detections": [corners, person]}, {"file": "b", "detections": []}]))
    detections = read_detections(file)
    assert detections.boxes == {"a/0.jpg": [Box(24, 18, 48, 36, False, 0.93)], "b": []}
    _, share = crop(encoded(Image.new("RGB", (96, 72))), detections.boxes["a/0.jpg"][0])
    assert share[:5] == (0.25, 0.25, 0.5, 0.5, True)


@pytest.mark.parametrize("where", ["D:\\traps\\2020\\fox/0.jpg", "/home/ann/fox/0.jpg", "0.jpg", "/x/Fox/0.JPG"])
def test_the_detector_may_have_run_elsewhere(where: str, tmp_path: Path) -> None:
    draw(tmp_path / "photos", "fox/0.jpg")
    file = write_detections(tmp_path / "md.json", [{"file": where, "detections": [detection([0, 0, 1, 1])]}])
    found = find_photos(tmp_path / "photos")
    crop_photos(found, read_detections(file), 0.2)
    assert [photo.source for photo in found.photos] == ["fox/0.jpg"]
    assert len(found.warnings) == 1 and found.warnings[0].startswith("the paths of md.json are those of the photos")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "md.json is not JSON"),
        ('{"images": []}', "md.json: detection_categories: Field required"),
        ('[{"file": "a"}]', r"md.json: 0.detections: Field required"),
        ('{"images": [{"file": "a", "detections": [{"category": "1", "conf": 2, "bbox": [0, 0, 1, 1]}]}], '
         '"detection_categories": {}}', r"images.0.detections.0.conf: Input should be less than or equal to 1"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line(content: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "md.json").write_text(content)
    with pytest.raises(UserError, match=line) as caught:
        read_detections(tmp_path / "md.json")
    assert "\n" not in str(caught.value)


def test_a_file_of_other_photos_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "photos", "fox/0.jpg")
    file = write_detections(tmp_path / "md.json", [{"file": "lynx/9.jpg", "detections": []}])
    with pytest.raises(
        UserError, match=r"speaks of none of the 1 photos: it has paths such as lynx/9.jpg, and here is"
    ):
        crop_photos(find_photos(tmp_path / "photos"), read_detections(file), 0.2)


def test_a_crop_is_square_padded_inside_of_the_photo_and_upright() -> None:
    picture = Image.new("RGB", (200, 100), "black")
    picture.paste((255, 0, 0), (40, 40, 60, 50))
    cut, share = crop(encoded(picture, quality=95), Box(0.2, 0.4, 0.1, 0.1), padding=0.25)
    with Image.open(__import__("io").BytesIO(cut)) as opened:
        assert opened.size == (30, 30)  # 20 pixels, and a quarter more at each side
        pixel = opened.getpixel((15, 15))
    assert isinstance(pixel, tuple) and pixel[0] > 200
    assert share == Box(0.2, 0.4, 0.1, 0.1)
    at_the_edge, _ = crop(encoded(picture), Box(0.9, 0.5, 0.1, 0.5), padding=0.1)
    with Image.open(__import__("io").BytesIO(at_the_edge)) as opened:
        assert opened.size == (60, 60)
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown, it is turned by 90 degrees clockwise
    again, _ = crop(encoded(turned, exif=exif, quality=95), Box(0.2, 0.4, 0.1, 0.1), padding=0.25)
    with Image.open(__import__("io").BytesIO(again)) as opened:
        pixel = opened.getpixel((15, 15))
        assert opened.size == (30, 30) and isinstance(pixel, tuple) and pixel[0] > 200


def test_prepare_writes_the_crops_keeps_their_boxes_and_never_parts_those_of_one_photo(tmp_path: Path) -> None:
    sources = [f"{name}/{number}.jpg" for name in ("fox", "lynx") for number in range(12)]
    draw(tmp_path / "photos", *sources, size=(192, 144))
    boxes = [detection([0.0, 0.0, 0.4, 0.5]), detection([0.5, 0.5, 0.4, 0.5])]
    listed = [{"file": source, "detections": boxes} for source in sources]
    listed[0]["detections"] = [detection([1.5, 1.5, 0.1, 0.1])]
    file = write_detections(tmp_path / "md.json", listed)
    options = PrepareOptions(workers=1, crop=str(file), min_confidence=0.5, crop_padding=0.0)
    manifest = prepare(tmp_path / "photos", tmp_path / "out", options)
    assert manifest.crops is not None and (manifest.crops.min_confidence, manifest.crops.padding) == (0.5, 0.0)
    assert manifest.excluded == {"bad_box": 1}
    dataset = open_dataset(tmp_path / "out")
    rows = [row for split in SPLITS for row in dataset.photos(split)]
    assert len(rows) == 46 and {row.box for row in rows} == {"0.0 0.0 0.4 0.5", "0.5 0.5 0.4 0.5"}
    assert len({(row.source, row.split) for row in rows}) == 23
    images = {photo.photo_id: photo.image for split in SPLITS for photo in read_split(dataset, split)}
    for row in rows[:4]:
        box = Box(*map(float, row.box.split()))
        assert images[row.photo_id] == crop((tmp_path / "photos" / row.source).read_bytes(), box, 0.0)[0]
        assert (row.width, row.height) == (77, 77) or row.height == row.width
