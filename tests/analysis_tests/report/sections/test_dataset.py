import base64
from dataclasses import replace

import pytest

from analysis.data.experiment import read
from analysis.data.report_data import report_data
from analysis.render.svg import Picture
from analysis.report.report import write_report
from analysis.report.sections.dataset import (
    data_table,
    disjoint_table,
    photographs,
    section,
    split_counts,
    splits_table,
)

MANIFEST = {
    "class_names": ["a_x", "a_y", "a_z"],
    "counts": {
        "train": {"a_x": 2, "a_y": 70, "a_z": 7},
        "validation": {"a_y": 15, "a_z": 2},
        "test": {"a_y": 15, "a_z": 1},
    },
}


def test_data_and_weights_are_told(example_data):
    reported = dict(row.cells for row in data_table(example_data).rows)
    assert reported["photos from"] == "/photos/rare_species"
    assert reported["weights the backbone started from"] == "imagenet: ImageNet weights from Keras"
    assert reported["photos left out"] == "5 near-duplicate and 3 unreadable"
    assert reported["fingerprint of photos and split"].startswith("0000")
    assert "70\u202f% training" in reported["split"]
    assert reported["prepared on"] == "23 November 2026, 17:02 UTC"


def test_the_proof_has_a_row_per_pair_of_splits(example_data):
    table = disjoint_table(example_data)
    assert table.caption == "No photo is in two splits"
    assert [row.cells[0] for row in table.rows] == [
        "training and validation",
        "training and test",
        "validation and test",
    ]
    assert {cell for row in table.rows for cell in row.cells[1:]} == {"0 shared"}


@pytest.mark.usefixtures("without_drawing")
def test_the_final_stages_pictures_stand_in_the_page_with_a_description(copied):
    folder = copied / "final" / "pictures"
    folder.mkdir()
    (folder / "samples.jpg").write_bytes(b"\xff\xd8a picture")
    page = write_report(copied).read_text()
    assert base64.b64encode(b"\xff\xd8a picture").decode() in page
    assert 'alt="Rows of up to six training photos' in page


def test_without_pictures_there_are_none(copied):
    assert photographs(report_data(read(copied))) == []


def test_families_stand_with_most_photos_first(example_data):
    data = split_counts(MANIFEST)
    assert data.index.tolist() == ["y", "z", "x"]
    assert {split: photos.tolist() for split, photos in data.items()} == {
        "train": [70, 7, 2],
        "validation": [15, 2, 0],
        "test": [15, 1, 0],
    }
    manifest = example_data.experiment.manifest | MANIFEST
    other = replace(example_data, experiment=replace(example_data.experiment, manifest=manifest))
    picture = next(part for part in section(other).parts if isinstance(part, Picture))
    assert "from y with 100 photos to x with 2; the middle one has 10" in picture.alt


def test_splits_add_up_to_the_manifest(example_data):
    rows = splits_table(example_data.experiment.manifest).rows
    counts = example_data.experiment.manifest["counts"]
    assert [row.cells[1] for row in rows] == [f"{sum(counts[s].values()):,}" for s in ("train", "validation", "test")]
