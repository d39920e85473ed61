from pathlib import Path

import pytest

from tests.trainables_tests.data.listed_photos import (
    field,
    medium,
    observation,
    write_archive,
    write_coco,
    write_package,
)
from trainables.data.layouts import LAYOUTS, find_photos
from trainables.data.photo_files import Found, Layout
from trainables.errors import UserError
from trainables.files.output import read_rows

STUDY = "rare_species_id,eol_content_id,eol_page_id,kingdom,phylum,family,file_path"
HUB = "rarespecies_id,eol_content_id,eol_page_id,kingdom,phylum,class,order,family,genus,species,sciName,common"


def touch(root: Path, *sources: str) -> Path:
    for source in sources:
        (root / source).parent.mkdir(parents=True, exist_ok=True)
        (root / source).write_bytes(b"x")
    return root


def study(root: Path, *rows: str) -> Found:
    (root / "metadata.csv").write_text("\n".join([STUDY, *rows]) + "\n", encoding="utf-8")
    return find_photos(root)


def reasons(found: Found) -> dict[str, str]:
    return {one.source: one.reason for one in found.excluded}


# One folder of each layout, whose photos are usable.jpg of class mollusca_unionidae, and others with a reason.
EXAMPLES = {
    "class folders": {},
    "metadata table": {
        "metadata.jsonl": '{"file_name": "mollusca_unionidae/1_7_usable.jpg", "label": "mollusca_unionidae"}\n'
        '{"file_name": "mollusca_unionidae/2_7_usable.jpg", "label": "mollusca_unionidae"}\n',
    },
    "study metadata": {
        "metadata.csv": f"{STUDY}\n"
        "id1,1,7,animalia,mollusca,unionidae,mollusca_unionidae/1_7_usable.jpg\n"
        "id1,2,7,animalia,mollusca,unionidae,mollusca_unionidae/2_7_usable.jpg\n"
    },
    "hub catalogue": {
        "metadata/rarespecies-catalog.csv": f"{HUB}\n"
        "id1,1,7,Animalia,Mollusca,Bivalvia,Unionida,Unionidae,Cyprogenia,stegaria,x,y\n"
        "id1,2,7,Animalia,Mollusca,Bivalvia,Unionida,Unionidae,Cyprogenia,stegaria,x,y\n",
        "metadata.csv": "of the web viewer\n",
    },
}
USABLE = [f"mollusca_unionidae/{number}_7_usable.jpg" for number in (1, 2)]
RANKS = {"phylum": "Mollusca", "family": "Unionidae"}


def package(root: Path) -> None:
    media = [medium(number, path) for number, path in enumerate(USABLE)]
    name = "Cyprogenia stegaria"
    observations = [observation(number, name) for number in range(2)]
    write_package(root, media, observations, [{"scientificName": name, "taxonRank": "species", **RANKS}])


def archive(root: Path) -> None:
    occurrences = [[f"g{number}", "Mollusca", "Unionidae"] for number in range(2)]
    media = [[f"g{number}", "StillImage", path] for number, path in enumerate(USABLE)]
    write_archive(root, field("phylum", 1) + field("family", 2), occurrences, media)


def coco(root: Path) -> None:
    images = [{"id": "i", "file_name": path} for path in USABLE]
    images[1]["id"] = "j"
    annotations = [{"image_id": name, "category_id": 0} for name in "ij"]
    write_coco(root / "cct.json", images, annotations, ["Mollusca Unionidae"])


LISTS = {"Camtrap DP": package, "Darwin Core Archive": archive, "COCO Camera Traps": coco}
# In Parquet tables there are no other files: formats/test_parquet.py.
IN_FILES = [layout for layout in LAYOUTS if layout.name != "Parquet tables"]


@pytest.mark.parametrize("layout", IN_FILES, ids=lambda layout: layout.name)
def test_every_layout_finds_labelled_photos_of_unique_ids_and_gives_a_reason_for_all_else(
    layout: Layout, tmp_path: Path
) -> None:
    usable = USABLE
    touch(tmp_path, *usable, "loose.jpg", "mollusca_unionidae/notes.txt", ".cache/hidden.jpg")
    LISTS.get(layout.name, lambda root: None)(tmp_path)
    for name, text in EXAMPLES.get(layout.name, {}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert next(one for one in LAYOUTS if one.recognises(tmp_path)) is layout
    found = find_photos(tmp_path)
    assert found.layout == layout.name
    assert sorted(photo.source for photo in found.photos) == usable
    assert {photo.class_name for photo in found.photos} == {"mollusca_unionidae"}
    assert len({photo.photo_id for photo in found.photos}) == 2
    assert reasons(found).keys() == {"loose.jpg", "mollusca_unionidae/notes.txt"}
    assert all(one.reason and one.detail for one in found.excluded)
    for source in usable:
        (tmp_path / source).unlink()
    with pytest.raises(UserError, match=rf"holds no photos that can be used .*; {layout.rule}$"):
        find_photos(tmp_path)
    with pytest.raises(UserError, match=r"no label level is called 'tribe'"):
        find_photos(tmp_path, "tribe")


def test_labels_that_differ_in_case_or_blanks_are_one_class(tmp_path: Path) -> None:
    found = find_photos(touch(tmp_path, "Lynx/1.jpg", "Lynx/2.jpg", "lynx/3.jpg", "lynx /4.jpg", "Sea Otter/5.jpg",
                              "sea_otter/6.jpg", "sea_otter/7.jpg"))  # fmt: skip
    assert {photo.source: photo.class_name for photo in found.photos} == {
        "Lynx/1.jpg": "Lynx", "Lynx/2.jpg": "Lynx", "lynx/3.jpg": "Lynx", "lynx /4.jpg": "Lynx",
        "Sea Otter/5.jpg": "sea_otter", "sea_otter/6.jpg": "sea_otter", "sea_otter/7.jpg": "sea_otter",
    }  # fmt: skip
    assert found.warnings == [
        "'Lynx', 'lynx', 'lynx ' are one class, Lynx: they differ in case or blanks alone",
        "'Sea Otter', 'sea_otter' are one class, sea_otter: they differ in case or blanks alone",
    ]


def test_metadata_give_label_id_and_species(tmp_path: Path) -> None:
    touch(tmp_path, "m_u/1_7_x.jpg", "m_u/2_7_x.jpg")
    found = study(tmp_path, "id1,1,7,animalia,m,u,m_u/1_7_x.jpg", "id2,2,7,animalia,m,other,m_u/2_7_x.jpg")
    assert [tuple(photo)[:5] for photo in found.photos] == [
        ("id1", "m_u/1_7_x.jpg", "m_u", "7", 1),
        ("id2", "m_u/2_7_x.jpg", "m_other", "7", 2),
    ]


def test_rows_and_files_that_miss_each_other_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "m_u/1.jpg", "m_u/2.jpg", "m_u/3.jpg", "m_u/4.jpg")
    found = study(
        tmp_path,
        "id1,1,7,animalia,m,u,m_u/1.jpg",
        "id2,2,7,animalia,m,u,m_u/2.jpg",
        "id3,2,7,animalia,m,v,m_u/2.jpg",
        "id4,4,7,animalia,m,,m_u/4.jpg",
        "id5,5,7,animalia,m,u,m_u/5.jpg",
        "id6,5,7,animalia,m,u,../outside.jpg",
    )
    assert [photo.source for photo in found.photos] == ["m_u/1.jpg"]
    assert reasons(found) == {
        "m_u/2.jpg": "two_labels",
        "m_u/3.jpg": "no_row",
        "m_u/4.jpg": "no_label",
        "m_u/5.jpg": "no_file",
        "../outside.jpg": "no_file",
    }
    assert "metadata.csv line 3 and metadata.csv line 4: m_u and m_v" in [one.detail for one in found.excluded]


def test_a_repeated_row_with_the_same_label_is_told_and_used_once(tmp_path: Path) -> None:
    touch(tmp_path, "m_u/1.jpg")
    found = study(tmp_path, "id1,1,7,animalia,m,u,m_u/1.jpg", "id9,1,7,animalia,m,u,m_u/1.jpg")
    assert [photo.photo_id for photo in found.photos] == ["id1"]
    assert found.warnings == ["1 photos have several rows, the first at metadata.csv line 2"]


def test_an_id_that_stands_for_two_photos_is_not_used_as_one(tmp_path: Path) -> None:
    touch(tmp_path, "m_u/1.jpg", "m_u/2.jpg", "m_u/3.jpg")
    rows = [f"{photo_id},1,7,animalia,m,u,m_u/{n}.jpg" for n, photo_id in ((1, "same"), (2, "same"), (3, "own"))]
    found = study(tmp_path, *rows)
    assert len({photo.photo_id for photo in found.photos}) == 3
    assert [photo.photo_id for photo in found.photos if photo.source == "m_u/3.jpg"] == ["own"]
    assert "('same')" in found.warnings[0]


@pytest.mark.parametrize(
    ("sources", "line"),
    [
        ([], "holds no photos that can be used; photos lie in one folder per class"),
        (["1.jpg", "a/notes.txt"], r"holds no photos that can be used \(1 no_class_folder, 1 not_a_photo\)"),
    ],
)
def test_no_photos_is_one_line(sources: list[str], line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=line):
        find_photos(touch(tmp_path, *sources))


def test_metadata_without_a_row_for_any_photo_is_one_line(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "metadata.csv").write_text("rare_species_id,eol_content_id,eol_page_id,phylum,family,file_path\n")
    with pytest.raises(UserError, match=r"\(1 no_row\); metadata.csv has a row with a label for each$"):
        find_photos(tmp_path)


def test_a_folder_or_level_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder; PHOTOS is a folder of class folders"):
        find_photos(tmp_path / "nowhere")
    touch(tmp_path, "a/1.jpg")
    with pytest.raises(UserError, match="no label level is called 'tribe'; the levels are phylum, class,"):
        find_photos(tmp_path, "tribe")
    with pytest.raises(UserError, match=r"the label level 'genus' needs metadata, .* and the level is the number of"):
        find_photos(tmp_path, "genus")


def real_rows(shared: Path) -> list[dict[str, str]]:
    return read_rows(shared / "data/eol_rare_species_metadata.csv")


def test_the_real_set_is_found_whole_in_both_layouts(shared: Path, tmp_path: Path) -> None:
    rows = real_rows(shared)
    as_study = touch(tmp_path / "study", *(row["file_path"] for row in rows))
    (as_study / "metadata.csv").write_bytes((shared / "data/eol_rare_species_metadata.csv").read_bytes())
    as_hub = hub_copy(tmp_path / "hub", rows)
    of_study, of_hub = find_photos(as_study), find_photos(as_hub)
    for found in (of_study, of_hub):
        assert len(found.photos) == 11_983
        assert len({photo.class_name for photo in found.photos}) == 202
        assert len({photo.species for photo in found.photos}) == 400
        assert found.warnings == []
    # The same photo has the same id, label, species and content id, wherever it lies.
    facts = [
        {(p.photo_id, p.class_name, p.species, p.content_id) for p in found.photos} for found in (of_study, of_hub)
    ]
    assert facts[0] == facts[1]
    assert len({photo.class_name for photo in find_photos(as_hub, "species").photos}) == 400
    assert len({photo.class_name for photo in find_photos(as_hub, "phylum").photos}) == len({r["phylum"] for r in rows})


def hub_copy(root: Path, rows: list[dict[str, str]]) -> Path:
    """The hub's layout of the same photos; the ranks that the study does not tell are made up from the page."""
    lines, sources = [HUB], []
    for row in rows:
        phylum, family, page = row["phylum"].title(), row["family"].title(), row["eol_page_id"]
        ranks = ["Animalia", phylum, "Class", "Order", family, f"Genus{page}", "minor"]
        name = f"{row['eol_content_id']}_{page}_eol-full-size-copy.jpg"
        sources.append(f"dataset/{'-'.join(ranks)}/{name}")
        lines.append(",".join([row["rare_species_id"], row["eol_content_id"], page, *ranks, "x", "y"]))
    touch(root, *sources, "metadata.csv", "README.md")
    (root / "metadata").mkdir()
    (root / "metadata/rarespecies-catalog.csv").write_text("\n".join(lines) + "\n")
    return root
