"""`predict --megadetector` and `--camtrap-dp`: predictions in the formats of camera-trap tools."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.trainables_tests.conftest import Command
from tests.trainables_tests.data.listed_photos import detection, medium, observation, write_detections, write_package
from trainables.data.formats.camtrap_dp import Package
from trainables.inference.camtrap_dp_results import scientific_name
from trainables.inference.camtrap_dp_results import write_package as write_results_package
from trainables.inference.crops import Result
from trainables.inference.keras_model import Answer, Guess

RED, GREEN = (220, 10, 10), (10, 200, 10)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Two photos, each red on the left and green on the right, and one that is none."""
    folder = tmp_path / "album"
    for name in ("media/1.jpg", "media/2.jpg"):
        picture = Image.new("RGB", (96, 48), RED)
        picture.paste(GREEN, (48, 0, 96, 48))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name, quality=95)
    (folder / "media/3.jpg").write_bytes(b"no picture")
    return folder


LEFT, RIGHT = [0.1, 0.2, 0.25, 0.5], [0.65, 0.2, 0.25, 0.5]


def predicted(run: Command, model: Path, album: Path, *options: object) -> str:
    done = run("predict", model, album, "--top", 1, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_families_go_into_a_detector_s_file_and_everything_else_stays(
    tiny_model: Path, album: Path, tmp_path: Path, run: Command
) -> None:
    boxes = [detection(LEFT), detection(RIGHT, 0.21) | {"classifications": [["9", 0.9]]},
             detection([0, 0, 1, 1], 0.99, "2"), detection(LEFT, 0.1)]  # fmt: skip
    images = [
        {"file": "media\\1.jpg", "detections": boxes, "exif": {"Make": "RECONYX"}},
        {"file": "media/2.jpg", "failure": "Failure image access", "detections": None},
        {"file": "other/9.jpg", "detections": [detection(LEFT)]},
        {"file": "media/clip.mp4", "frame_rate": 20, "detections": [detection(LEFT) | {"frame_number": 4}]},
    ]
    file = write_detections(tmp_path / "md.json", images)
    out = predicted(
        run, tiny_model, album, "--crop", file, "--crop-padding", 0, "--megadetector", tmp_path / "out.json"
    )
    assert "3 photos, 2 animals in them" in out
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written) == ["info", "detection_categories", "classification_categories", "images"]
    assert written["info"]["format_version"] == "1.6" and written["info"]["detector"] == "md_v5a.0.0.pt"
    first = written["images"][0]
    assert (first["file"], first["exif"]) == ("media\\1.jpg", {"Make": "RECONYX"})
    answers = [each.get("classifications") for each in first["detections"]]
    named = [written["classification_categories"][each[0][0]] if each else None for each in answers]
    assert named == ["red", "green", None, None]
    assert [each["bbox"] for each in first["detections"]] == [each["bbox"] for each in boxes]
    assert written["images"][1:3] == images[1:3]
    assert written["images"][3]["frames_processed"] == [4]


def test_the_other_format_s_pixels_become_shares(tiny_model: Path, album: Path, tmp_path: Path, run: Command) -> None:
    corners = {"category": "animal", "confidence": 0.9, "bbox": [9.6, 9.6, 33.6, 33.6]}
    listed = [{"file": "media/1.jpg", "detections": [corners]}, {"file": "media/2.jpg", "detections": []}]
    (tmp_path / "md.json").write_text(json.dumps(listed))
    predicted(run, tiny_model, album, "--crop", tmp_path / "md.json", "--megadetector", tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    [one] = written["images"][0]["detections"]
    assert one["bbox"] == [0.1, 0.2, 0.25, 0.5] and one["category"] == "1"
    assert written["classification_categories"][one["classifications"][0][0]] == "red"
    assert written["images"][1] == {"file": "media/2.jpg", "detections": []}


def test_whole_photos_are_one_detection_each_and_an_unreadable_one_is_a_failure(
    tiny_model: Path, album: Path, tmp_path: Path, run: Command
) -> None:
    predicted(run, tiny_model, album, "--megadetector", tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert [image["file"] for image in written["images"]] == ["media/1.jpg", "media/2.jpg", "media/3.jpg"]
    assert written["images"][0]["detections"][0]["bbox"] == [0.0, 0.0, 1.0, 1.0]
    assert written["images"][2]["detections"] is None and "no picture" in written["images"][2]["failure"]


def test_a_package_s_observations_are_the_predictions_and_read_back(
    tiny_model: Path, album: Path, tmp_path: Path, run: Command, shared: Path
) -> None:
    rubrum = [{"scientificName": "Red", "taxonRank": "genus"}]
    write_package(album, [medium(1), medium(2), medium(3)], [observation(1, "Red", event="ev1")], rubrum)
    boxes = [{"file": "media/1.jpg", "detections": [detection(LEFT), detection(RIGHT)]},
             {"file": "media/2.jpg", "detections": []}]  # fmt: skip
    file = write_detections(tmp_path / "md.json", boxes)
    predicted(run, tiny_model, album, "--crop", file, "--crop-padding", 0, "--camtrap-dp", tmp_path / "out")
    package = Package(tmp_path / "out")
    assert package.found.excluded == []
    rows = {row.observationID: row for row, _ in package.observations}
    assert {key: (row.observationType, row.scientificName, row.bboxX) for key, row in rows.items()} == {
        "m1_1": ("animal", "Red", 0.1), "m1_2": ("animal", "Green", 0.65), "m2_1": ("blank", None, None),
        "m3_1": ("unclassified", None, None),
    }  # fmt: skip
    assert rows["m1_1"].eventID == "ev1" and rows["m1_1"].classificationMethod == "machine"
    assert {each["scientificName"] for each in package.content["taxonomic"]} == {"Red", "Green"}
    with (tmp_path / "out/observations.csv").open(newline="") as handle:
        columns = next(csv.reader(handle))
    schema = shared / "data/formats/camtrap_dp/schemas/observations-table-schema.json"
    assert columns == [each["name"] for each in json.loads(schema.read_text())["fields"]]


def test_a_photo_unlike_all_that_was_learnt_is_unknown(album: Path, tmp_path: Path) -> None:
    write_package(album, [medium(1)], [observation(1, "Red")])
    strange = Answer(album / "media/1.jpg", [Guess("red", 0.9)], unknown=True)
    assert write_results_package(album, tmp_path / "out", [Result(strange.photo, "media/1.jpg", [strange])], "x") == 1
    [(row, _)] = Package(tmp_path / "out").observations
    assert (row.observationType, row.scientificName, row.classificationProbability) == ("unknown", None, None)


def test_what_cannot_be_written_is_said_before_the_model_is_loaded(tmp_path: Path, run: Command) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    done = run("predict", tmp_path / "none", tmp_path / "album", "--camtrap-dp", tmp_path / "out")
    assert done.returncode == 2 and "is not empty (mine)" in done.stderr
    done = run("predict", tmp_path / "none", tmp_path / "a.jpg", "--camtrap-dp", tmp_path / "new")
    assert done.returncode == 2 and "needs one IMAGE, the folder of a Camtrap DP package" in done.stderr


@pytest.mark.parametrize(
    ("label", "name"),
    [("ardea_cinerea", "Ardea cinerea"), ("chordata_felidae", "Felidae"), ("red_fox", "Vulpes vulpes"),
     ("tracheophyta_fagaceae", "Fagaceae"), ("aves", "Aves")],
)  # fmt: skip
def test_a_label_is_written_as_a_scientific_name(label: str, name: str) -> None:
    assert scientific_name(label, {"red_fox": "Vulpes vulpes"}) == name
