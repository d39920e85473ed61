import json
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from tests.trainables_tests.drawn_photos import QUICK, drawn, encoded
from trainables.data.dataset import SPLITS, open_dataset
from trainables.data.layouts import find_photos
from trainables.data.prepare import prepare
from trainables.data.shards import read_split
from trainables.errors import UserError

NAMES = ["fox", "lynx"]


def table(numbers: range, named: bool = True) -> arrow.Table:
    """As the datasets library writes them: pairs of bytes and path, and the classes' names in the metadata."""
    pictures = [{"bytes": encoded(drawn(number), "PNG"), "path": f"{number}.png"} for number in numbers]
    labels = [number % 2 for number in numbers]
    values = {
        "image": pictures,
        "label": labels if named else [NAMES[label] for label in labels],
        "station": [f"s{number % 5}" for number in numbers],
    }
    features = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if named else {}
    return arrow.table(values).replace_schema_metadata(metadata)


def test_pictures_in_tables_become_a_dataset_with_their_own_bytes(tmp_path: Path) -> None:
    (tmp_path / "hub/data").mkdir(parents=True)
    (tmp_path / "hub/README.md").touch()
    parquet.write_table(table(range(20)), tmp_path / "hub/data/train-00000-of-00001.parquet", row_group_size=7)
    parquet.write_table(table(range(20, 30)), tmp_path / "hub/data/validation-00000-of-00001.parquet")
    found = find_photos(tmp_path / "hub")
    assert found.columns == ("station",) and set(found.splits.values()) == {"train", "validation"}
    assert found.splits["data/validation-00000-of-00001/0000003.png"] == "validation"
    prepare(tmp_path / "hub", tmp_path / "out", QUICK)
    dataset = open_dataset(tmp_path / "out")
    assert dataset.class_names == ("fox", "lynx") and dataset.manifest.layout == "Parquet tables"
    images = {photo.image for split in SPLITS for photo in read_split(dataset, split)}
    assert images == {encoded(drawn(number), "PNG") for number in range(30)}


def test_names_may_stand_in_the_column_itself_and_a_row_may_lack_its_picture(tmp_path: Path) -> None:
    rows = table(range(4), named=False).to_pylist()
    rows[0]["image"]["bytes"] = None
    rows[1]["label"] = None
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "all.parquet")
    found = find_photos(tmp_path)
    assert sorted(photo.class_name for photo in found.photos) == ["fox", "lynx"]
    assert sorted(one.reason for one in found.excluded) == ["no_file", "no_label"]


def test_a_table_without_a_label_names_its_columns(tmp_path: Path) -> None:
    parquet.write_table(
        table(range(4), named=False).rename_columns(["image", "what", "station"]), tmp_path / "a.parquet"
    )
    with pytest.raises(UserError, match="has the columns image, what, station; the label is looked for in label, "):
        find_photos(tmp_path)
