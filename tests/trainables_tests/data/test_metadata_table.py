import json
from pathlib import Path

import pandas as pd
import pytest

from tests.trainables_tests.data.listed_photos import draw
from tests.trainables_tests.data.test_layouts import reasons, touch
from trainables.data.dataset import SPLITS, open_dataset
from trainables.data.layouts import find_photos
from trainables.data.options import PrepareOptions
from trainables.data.photo_files import Found
from trainables.data.prepare import prepare
from trainables.errors import UserError

ROWS = [
    {"file_name": "lynx/1.jpg", "label": "Lynx lynx", "site": "north"},
    {"file_name": "lynx/2.jpg", "label": "Lynx lynx", "site": "south"},
    {"file_name": "3.jpg", "label": "Sus scrofa", "site": "north"},
    {"file_name": "gone.jpg", "label": "Sus scrofa", "site": "north"},
    {"file_name": "unsaid.jpg", "label": None, "site": "north"},
]


def write(rows: list[dict[str, object]], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".csv":
        pd.DataFrame(rows).to_csv(file, index=False)
    elif file.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def labels(found: Found) -> dict[str, str]:
    return {photo.source: photo.class_name for photo in found.photos}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_labels_are_those_of_the_table_not_of_the_folders(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "lynx/1.jpg", "lynx/2.jpg", "3.jpg", "unsaid.jpg", "lynx/unlisted.jpg")
    write([dict(row) for row in ROWS], tmp_path / name)
    found = find_photos(tmp_path)
    assert found.layout == "metadata table"
    assert labels(found) == {"3.jpg": "Sus scrofa", "lynx/1.jpg": "Lynx lynx", "lynx/2.jpg": "Lynx lynx"}
    assert reasons(found) == {"gone.jpg": "no_file", "unsaid.jpg": "no_label", "lynx/unlisted.jpg": "no_row"}
    assert set(labels(find_photos(tmp_path, "site")).values()) == {"north", "south"}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_each_split_may_have_its_own_table(suffix: str, tmp_path: Path) -> None:
    for split in ("train", "test"):
        touch(tmp_path / split, "1.jpg", "2.jpg")
        rows = [{"file_name": f"{n}.jpg", "label": f"family {n}"} for n in (1, 2)]
        write([dict(row) for row in rows], tmp_path / split / f"metadata.{suffix}")
    found = find_photos(tmp_path)
    assert labels(found) == {f"{split}/{n}.jpg": f"family {n}" for split in ("train", "test") for n in (1, 2)}
    assert found.splits == {f"{split}/{n}.jpg": split for split in ("train", "test") for n in (1, 2)}


def test_rows_that_differ_are_two_labels(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    rows = [("1.jpg", "a"), ("1.jpg", "b"), ("2.jpg", "b")]
    write([{"file_name": name, "label": label} for name, label in rows], tmp_path / "metadata.jsonl")
    found = find_photos(tmp_path)
    assert (labels(found), reasons(found)) == ({"2.jpg": "b"}, {"1.jpg": "two_labels"})


@pytest.mark.parametrize(
    ("text", "level", "line"),
    [
        ("file_name,text\n1.jpg,a cat\n", "family", "has no column label or family; --label-level names the label's"),
        ("file_name,label\n1.jpg,a\n", "tribe", "no label level is called 'tribe'; .* metadata.csv has label$"),
    ],
)
def test_a_column_that_is_not_there_is_asked_for(text: str, level: str, line: str, tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(UserError, match=line):
        find_photos(tmp_path, level)


@pytest.mark.parametrize(("name", "content"), [("metadata.jsonl", b"{not json"), ("metadata.parquet", b"no parquet")])
def test_a_table_that_cannot_be_read_is_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"metadata.* cannot be read: .*; save it as CSV, JSON lines or Parquet"):
        find_photos(tmp_path)


def test_columns_of_a_table_group_give_times_and_ranks(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(24)]
    draw(tmp_path / "photos", *names)
    ranks = [{"order": "Carnivora", "family": "Felidae"}, {"order": "Artiodactyla", "family": "Suidae"}]
    rows = [
        {"file_name": name, **ranks[number % 2],
         "site": f"s{number // 2}", "datetime": f"2020-06-{number + 1:02d} 12:00:00"}
        for number, name in enumerate(names)
    ]  # fmt: skip
    write([dict(row) for row in rows], tmp_path / "photos/metadata.csv")
    options = PrepareOptions(workers=1, group=("near-duplicates", "site"), split_by_time=True)
    manifest = prepare(tmp_path / "photos", tmp_path / "out", options)
    dataset = open_dataset(tmp_path / "out")
    split_of = {row.source: row.split for split in SPLITS for row in dataset.photos(split)}
    assert all(split_of[f"{n}.jpg"] == split_of[f"{n + 1}.jpg"] for n in range(0, 24, 2))
    assert (split_of["0.jpg"], split_of["23.jpg"]) == ("train", "test")
    assert manifest.taxonomy is not None and manifest.taxonomy.ranks == ("order", "family")
    assert manifest.taxonomy.names == (("carnivora", "felidae"), ("artiodactyla", "suidae"))


def test_a_taxonomy_gives_the_names_of_a_table_their_families(tmp_path: Path) -> None:
    touch(tmp_path / "photos", "1.jpg", "2.jpg")
    rows = [("1.jpg", "Lynx lynx"), ("2.jpg", "Sus scrofa")]
    write([{"file_name": name, "kind": label} for name, label in rows], tmp_path / "photos/metadata.csv")
    (tmp_path / "ranks.csv").write_text("name,family\nlynx lynx,Felidae\nsus scrofa,Suidae\n")
    found = find_photos(tmp_path / "photos", "kind", tmp_path / "ranks.csv")
    assert labels(found) == {"1.jpg": "felidae", "2.jpg": "suidae"}
