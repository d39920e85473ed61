import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.trainables_tests.data.listed_photos import draw, medium, observation, write_package
from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.data.crops import Box
from trainables.data.dataset import open_dataset
from trainables.data.formats.camtrap_dp import CamtrapDP, Deployment, Medium, Observation
from trainables.data.layouts import find_photos
from trainables.data.options import PrepareOptions
from trainables.data.photo_files import Found
from trainables.data.prepare import prepare
from trainables.errors import UserError

SPECIES = [{"scientificName": "Ardea cinerea", "taxonRank": "species", "family": "Ardeidae"},
           {"scientificName": "Aves", "taxonRank": "class"}]  # fmt: skip


@pytest.fixture(scope="module")
def example(shared: Path) -> Path:
    return shared / "data/formats/camtrap_dp"


def reasons(found: Found) -> dict[str, str]:
    return {one.source: one.reason for one in found.excluded}


def test_the_standard_s_own_example_gives_its_ten_photos_with_their_boxes_and_columns(example: Path) -> None:
    found = find_photos(example, "name", boxes=True)
    assert {photo.class_name for photo in found.photos} == {"ardea"}
    assert [photo.source for photo in sorted(found.photos, key=lambda photo: photo.source)] == [
        f"media/{file.name}" for file in sorted((example / "media").iterdir())
    ]
    first = min(found.photos, key=lambda photo: photo.source)
    assert first.box == Box(0.35947, 0.61382, 0.32951, 0.31225)
    values = dict(zip(found.columns, first.values, strict=True))
    assert (values["station"], values["sequence"], values["day"]) == ("ce943ced", "7245a2aa", "2021-04-11")
    assert (values["cameraModel"], values["habitat"][:14]) == ("Reconyx-HF2X", "Stream valley ")
    counts = Counter(reasons(found).values())
    assert counts["no_file"] == 413, counts  # addresses, not downloaded
    assert "10 labels are a model's, that no person gave" in found.warnings


def test_the_example_s_level_is_asked_for_where_no_name_has_it(example: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'family'; the levels are genus, name; --taxonomy FILE gives"):
        find_photos(example)
    assert {photo.class_name for photo in find_photos(example, "genus").photos} == {"ardea"}
    (tmp_path / "families.csv").write_text("scientificName,family\nArdea,Ardeidae\n")
    found = find_photos(example, "family", tmp_path / "families.csv")
    assert {photo.class_name for photo in found.photos} == {"ardeidae"}
    assert any(line.startswith("the taxonomy has no row for") for line in found.warnings) is False


@pytest.mark.parametrize(
    ("table", "model"), [("deployments", Deployment), ("media", Medium), ("observations", Observation)]
)
def test_the_models_say_what_the_standard_s_schemas_say(table: str, model: type, example: Path) -> None:
    """Required columns, words, numbers' ranges and patterns of every column that is read."""
    schema = json.loads((example / f"schemas/{table}-table-schema.json").read_text())
    fields = {each["name"]: each for each in schema["fields"]}
    ours = model.model_json_schema()["properties"]  # type: ignore[attr-defined]
    assert {name for name, each in fields.items() if each["constraints"].get("required")} <= {*ours}
    for name, mine in ours.items():
        theirs = fields[name]["constraints"]
        options = mine.get("anyOf", [mine])
        assert theirs.get("required", False) == (name in model.model_json_schema()["required"]), name  # type: ignore[attr-defined]
        for ours_word, their_word in (("minimum", "minimum"), ("maximum", "maximum"), ("enum", "enum")):
            assert next((each[ours_word] for each in options if ours_word in each), None) == theirs.get(their_word), (
                name
            )
        kinds = {"string": "string", "datetime": "string", "number": "number", "boolean": "boolean"}
        assert options[0]["type"] == kinds[fields[name]["type"]], name


def test_a_person_s_label_goes_before_a_model_s_and_a_photo_s_own_before_its_event_s(tmp_path: Path) -> None:
    event = "e1,d1,,ev,2020-06-01T11:00:00+02:00,2020-06-01T13:00:00+02:00,event,animal,Aves,,,,,human"
    write_package(
        draw(tmp_path, "media/1.jpg", "media/2.jpg"),
        [medium(1), medium(2)],
        [observation(1, "Ardea cinerea"), observation(1, "Aves", by="machine"), event],
        SPECIES,
    )
    found = find_photos(tmp_path, "name")
    assert {photo.source: photo.class_name for photo in found.photos} == {
        "media/1.jpg": "ardea_cinerea",
        "media/2.jpg": "aves",
    }
    assert any("1 labels of a model are not used" in line for line in found.warnings)
    assert any("1 photos have the label of their event" in line for line in found.warnings)


def test_what_is_no_animal_is_left_out_or_a_class_of_its_own(tmp_path: Path) -> None:
    photos = [f"media/{number}.jpg" for number in range(1, 5)]
    write_package(
        draw(tmp_path, *photos, "media/stray.jpg"),
        [*map(medium, range(1, 5)), medium(5), medium(6, "media/6.mp4", kind="video/mp4")],
        [
            observation(1, "Ardea cinerea"),
            observation(2, "", "blank"),
            observation(3, "Homo sapiens", "human"),
            observation(4, "Aves"),
        ],
        SPECIES,
    )
    found = find_photos(tmp_path)
    assert [photo.class_name for photo in found.photos] == ["ardeidae"]
    assert reasons(found) == {
        "media/2.jpg": "no_animal", "media/3.jpg": "no_animal", "media/4.jpg": "no_label",
        "media/5.jpg": "no_file", "media/6.mp4": "no_file", "media/stray.jpg": "no_row",
    }  # fmt: skip
    also = find_photos(tmp_path, also=["blank"])
    assert sorted(photo.class_name for photo in also.photos) == ["ardeidae", "blank"]


def test_rows_that_break_the_schema_are_named_and_left_out(tmp_path: Path) -> None:
    write_package(
        draw(tmp_path, "media/1.jpg", "media/2.jpg"),
        [medium(1), medium(2), medium(3, time="01/06/2020 12:00"), medium(4, deployment="d9")],
        [observation(1, "Aves"), observation(2, "Aves", "bird"), observation(9, "Aves")],
        SPECIES,
    )
    found = find_photos(tmp_path, "class")
    assert [photo.source for photo in found.photos] == ["media/1.jpg"]
    told = {one.source: one.detail for one in found.excluded if one.reason == "bad_row"}
    assert told["media.csv line 5"] == "media.csv line 5: no deployment is called 'd9'"
    assert "timestamp input should be a valid datetime" in told["media.csv line 4"]
    assert "observationType input should be 'animal', 'human'" in told["observations.csv line 3"]
    assert told["observations.csv line 4"] == "observations.csv line 4: no medium is called 'm9'"


def test_downloaded_media_are_found_by_the_names_that_the_package_has_for_them(tmp_path: Path, example: Path) -> None:
    for name in ("datapackage.json", "deployments.csv", "media.csv", "observations.csv"):
        shutil.copy(example / name, tmp_path / name)
    draw(tmp_path, "photos/07840dcc.jpg", "photos/20200709093328-RCNX0002.JPG")
    found = find_photos(tmp_path, "species")
    assert {photo.photo_id: photo.source for photo in found.photos} == {
        "07840dcc": "photos/07840dcc.jpg",
        "401386c7": "photos/20200709093328-RCNX0002.JPG",
    }


def test_an_older_version_and_a_missing_column_are_one_line_each(tmp_path: Path) -> None:
    write_package(draw(tmp_path, "media/1.jpg"), [medium(1)], [observation(1, "Aves")])
    (tmp_path / "media.csv").write_text("mediaID,deploymentID\nm1,d1\n")
    with pytest.raises(UserError, match=r"media.csv lacks the column\(s\) timestamp, filePath, filePublic, fileMed"):
        find_photos(tmp_path)
    package = (tmp_path / "datapackage.json").read_text().replace("camtrap-dp/1.0.2", "camtrap-dp/0.6")
    (tmp_path / "datapackage.json").write_text(package)
    assert CamtrapDP().recognises(tmp_path)
    with pytest.raises(UserError, match="older version"):
        find_photos(tmp_path)


def test_photos_of_phones_in_a_package_are_prepared_and_cropped_beside_a_metadata_table(tmp_path: Path) -> None:
    """HEIC, a name without an ending, and a metadata.csv that would be a layout of its own without the package."""
    root, media, seen = tmp_path / "package", [], []
    (root / "media").mkdir(parents=True)
    for number in range(12):
        name = f"media/{number}{('.HEIC', '', '.jpg')[number % 3]}"
        (root / name).write_bytes(encoded(drawn(number), ("HEIF", "JPEG", "JPEG")[number % 3]))
        species = ("Ardea cinerea", "Lutra lutra")[number % 2]
        media.append(medium(number, name, time=f"2020-06-{number + 1:02d}T12:00:00+02:00"))
        seen.append(observation(number, species, box="0.25,0.25,0.5,0.5"))
    media.append(medium(12, "media/12.HEIC"))
    seen.append(observation(12, "Felis silvestris"))
    (root / "media/12.HEIC").write_bytes(encoded(drawn(12), "HEIF")[:500])
    write_package(root, media, seen)
    (root / "metadata.csv").write_text("file_name,label\nmedia/2.jpg,other\n")
    options = PrepareOptions(workers=1, label_level="name", split_by_time=True)
    manifest = prepare(root, tmp_path / "out", options)
    assert (manifest.layout, manifest.class_names) == ("Camtrap DP", ["ardea_cinerea", "lutra_lutra"])
    assert sum(map(sum, (each.values() for each in manifest.counts.values()))) == 12
    assert list(manifest.missing_families) == ["felis_silvestris"]
    assert any(
        "1 family has no photo that can be used and is missing: felis_silvestris" in w for w in manifest.warnings
    )
    cropped = prepare(root, tmp_path / "crops", options.model_copy(update={"crop": "boxes", "split_by_time": False}))
    assert {photo.box.count(" ") for photo in open_dataset(tmp_path / "crops").photos("train")} == {3}
    assert cropped.missing_families == {"felis_silvestris": {"no_box": 1}}
