"""Two people's ways from their photos to a model and back: an ecologist's with camera traps, a botanist's with GBIF."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from tests.trainables_tests.conftest import run_here
from tests.trainables_tests.data.listed_photos import detection, field, write_archive, write_detections
from tests.trainables_tests.drawn_photos import drawn
from trainables.data.dataset import SPLITS, open_dataset

SMALL = ("--backbone", "mobilenet_v2", "--weights", "random", "--image-size", "32", "--threads", "1")
SPECIES = {"vulpes_vulpes": (200, 40, 0), "lynx_lynx": (0, 60, 220)}


def animal(file: Path, number: int, colour: tuple[int, int, int], box: tuple[int, int, int, int]) -> None:
    """A drawn photo with a patch of one colour, the animal."""
    picture = drawn(number, (160, 120))
    picture.paste(colour, box)
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, quality=92)


def test_camera_trap_photos_with_megadetector_s_file_become_a_model_and_come_back_into_timelapse_s_format(
    tmp_path: Path,
) -> None:
    photos, images = tmp_path / "photos", []
    for number in range(36):
        name = list(SPECIES)[number % 2]
        left, top = 8 * (number % 9), 6 * (number % 7)
        animal(photos / name / f"{number}.jpg", number, SPECIES[name], (left, top, left + 48, top + 48))
        seen = [detection([left / 160, top / 120, 48 / 160, 48 / 120]), detection([0.8, 0.8, 0.1, 0.1], 0.05)]
        images.append({"file": f"{name}/{number}.jpg", "detections": seen})
    images[0] = {"file": "vulpes_vulpes/0.jpg", "failure": "Failure image access", "detections": None}
    images[1] = {"file": "lynx_lynx/1.jpg", "detections": []}
    detected = write_detections(tmp_path / "megadetector.json", images)
    (tmp_path / "families.csv").write_text("species,family\nVulpes vulpes,Canidae\nLynx lynx,Felidae\n")

    prepared = run_here("prepare", photos, tmp_path / "dataset", "--crop", detected, "--min-confidence", 0.2,
                        "--taxonomy", tmp_path / "families.csv", "--workers", 1)  # fmt: skip
    assert prepared.returncode == 0, prepared.stderr
    assert "left out: 1 detector_failed, 1 no_detection; each is listed" in prepared.stdout
    dataset = open_dataset(tmp_path / "dataset")
    assert dataset.class_names == ("canidae", "felidae")
    assert all(row.box for split in SPLITS for row in dataset.photos(split))
    checked = run_here("check", tmp_path / "dataset")
    assert checked.returncode == 0 and "the splits are disjoint" in checked.stdout
    probed = run_here("probe", tmp_path / "dataset", "--out", tmp_path / "model", *SMALL)
    assert probed.returncode == 0, probed.stderr

    written = ("--megadetector", tmp_path / "classified.json", "--csv", tmp_path / "classified.csv")
    predicted = run_here("predict", tmp_path / "model", photos, "--crop", detected, "--top", 2, *written)
    assert predicted.returncode == 0, predicted.stderr
    assert "36 photos, 34 animals in them, 0 of them unreadable" in predicted.stdout
    classified = json.loads((tmp_path / "classified.json").read_text())
    assert classified["info"]["format_version"] == "1.6" and classified["info"]["detector"] == "md_v5a.0.0.pt"
    assert classified["classification_categories"] == {"0": "canidae", "1": "felidae"}
    assert classified["images"][0] == images[0] and classified["images"][1] == images[1]
    right = 0
    for image in classified["images"][2:]:
        sure, unsure = image["detections"]
        [first, second] = sure["classifications"]
        assert first[1] >= second[1] and "classifications" not in unsure
        family = "canidae" if image["file"].startswith("vulpes") else "felidae"
        right += classified["classification_categories"][first[0]] == family
    assert right >= 30  # Red and blue patches: even random features tell them apart.
    with (tmp_path / "classified.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36 and rows[0].keys() >= {"box", "confidence", "family_1"}


def test_a_gbif_archive_becomes_a_model(tmp_path: Path) -> None:
    core = (
        field("kingdom", 1)
        + field("phylum", 2)
        + field("family", 3)
        + field("scientificName", 4)
        + field("recordedBy", 5)
    )
    names = [("Fagaceae", "Quercus robur L."), ("Betulaceae", "Betula pendula Roth")]
    occurrences, media = [], []
    for number in range(24):
        family, name = names[number % 2]
        occurrences.append([f"{number}", "Plantae", "Tracheophyta", family, name, f"person {number % 6}"])
        for picture in range(2):
            file = f"{number}_{picture}.jpg"
            animal(
                tmp_path / "gbif/photos" / file,
                2 * number + picture,
                list(SPECIES.values())[number % 2],
                (20, 20, 90, 90),
            )
            media.append([f"{number}", "StillImage", f"https://example.org/media/{file}"])
    write_archive(tmp_path / "gbif", core, occurrences, media)
    prepared = run_here("prepare", tmp_path / "gbif", tmp_path / "dataset", "--group", "near-duplicates", "observation",
                        "photographer", "--workers", 1)  # fmt: skip
    assert prepared.returncode == 0, prepared.stderr
    dataset = open_dataset(tmp_path / "dataset")
    assert dataset.class_names == ("tracheophyta_betulaceae", "tracheophyta_fagaceae")
    of_person: dict[int, set[str]] = {}
    for split in SPLITS:
        for row in dataset.photos(split):
            of_person.setdefault(int(row.source.split("/")[1].split("_")[0]) % 6, set()).add(row.split)
    assert all(len(splits) == 1 for splits in of_person.values()) and len(of_person) == 6
    probed = run_here("probe", tmp_path / "dataset", "--out", tmp_path / "model", *SMALL)
    assert probed.returncode == 0, probed.stderr
    one = tmp_path / "gbif/photos/0_0.jpg"
    predicted = run_here("predict", tmp_path / "model", one, "--megadetector", tmp_path / "whole.json")
    assert predicted.returncode == 0, predicted.stderr
    [image] = json.loads((tmp_path / "whole.json").read_text())["images"]
    assert image["file"] == "0_0.jpg" and image["detections"][0]["bbox"] == [0.0, 0.0, 1.0, 1.0]


def test_the_commands_help_names_the_formats() -> None:
    for command, words in (("prepare", "Camtrap DP"), ("predict", "MegaDetector")):
        done = subprocess.run([sys.executable, "-m", "trainables", command, "--help"], capture_output=True, text=True)
        assert words in done.stdout
