from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.activations.augment import augment, draw_parameters
from trainables.config import Augmentation
from trainables.data.dataset import MANIFEST, PHOTOS, SPLITS, Dataset, Photo, fingerprint_of, open_dataset
from trainables.data.leaks import prove_disjoint
from trainables.data.shards import write_split
from trainables.errors import UserError
from trainables.files.output import write_json, write_rows

Planted = list[tuple[str, str, bytes]]  # photo id, split, bytes


def honest() -> Planted:
    """Thirty different photos of two families, split 20 / 5 / 5."""
    splits = ["train"] * 20 + ["validation"] * 5 + ["test"] * 5
    return [(f"p{number:02d}", split, encoded(drawn(number))) for number, split in enumerate(splits)]


def written(
    folder: Path, photos: Planted, grouping: str = "near-duplicates", groups: dict[str, str] | None = None
) -> Dataset:
    """A dataset whose splits are as given, leaks and all: `prepare` would not write it."""
    import hashlib

    images: dict[tuple[str, str], bytes] = {(photo_id, split): image for photo_id, split, image in photos}
    rows, shards = [], []
    for split in SPLITS:
        of_split = [
            Photo(photo_id, split, "ab"[label], label, hashlib.sha256(image).hexdigest(),
                  (groups or {}).get(photo_id, photo_id), f"{photo_id}.jpg", 1, 1, "")
            for photo_id, at, image in photos if at == split for label in [int(photo_id[1:3]) % 2]
        ]  # fmt: skip
        placed, files = write_split(
            folder, split, of_split, lambda row: images[row.photo_id, row.split], [1] * len(of_split)
        )
        rows += placed
        shards += [file.model_dump() for file in files]
    write_rows(folder / PHOTOS, Photo._fields, rows)
    manifest = {
        "format": 1, "fingerprint": fingerprint_of(rows, ["a", "b"]), "class_names": ["a", "b"], "counts": {},
        "excluded": {}, "exclusion_list": None, "seed": 0, "fractions": (0.7, 0.15, 0.15), "grouping": [grouping],
        "groups": 0, "label_level": "family", "layout": "class folders", "min_photos": 1, "train_only_families": [],
        "warnings": [], "shards": shards, "source": "/", "created": "", "versions": {},
    }  # fmt: skip
    write_json(manifest, folder / MANIFEST)
    return open_dataset(folder)


def shared(dataset: Dataset) -> dict[tuple[str, str, str], int]:
    return {(pair.a, pair.b, pair.by): pair.shared for pair in prove_disjoint(dataset).pairs if pair.shared}


def test_honest_splits_are_proven_disjoint_three_ways(tmp_path: Path) -> None:
    proof = prove_disjoint(written(tmp_path, honest()))
    assert proof.passed
    assert proof.photos == {"train": 20, "validation": 5, "test": 5}
    assert [(pair.by, pair.shared) for pair in proof.pairs] == [
        (by, 0) for by in ("photo id", "content hash", "group") for _ in range(3)
    ]
    assert (proof.leaks, proof.notes) == ([], [])
    assert proof.lines()[0] == "the splits are disjoint (20 train, 5 validation, 5 test photos)"


def test_a_renamed_copy_is_caught(tmp_path: Path) -> None:
    dataset = written(tmp_path, [*honest(), ("p90", "test", honest()[0][2])])
    assert shared(dataset) == {("train", "test", "content hash"): 1, ("train", "test", "group"): 1}
    assert "leak by content hash: p00 (p00.jpg) is in train, p90 (p90.jpg) in test" in prove_disjoint(dataset).leaks


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "resized": lambda picture: encoded(picture.resize((48, 36))),
    "encoded again": lambda picture: encoded(picture, "WEBP", quality=40),
    "mirrored": lambda picture: encoded(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_changed_copy_is_caught(change: str, tmp_path: Path) -> None:
    dataset = written(tmp_path, [*honest(), ("p90", "validation", CHANGES[change](drawn(0)))])
    assert shared(dataset) == {("train", "validation", "group"): 1}


def cropped(number: int) -> bytes:
    """A copy without 5 % of each side."""
    picture = drawn(number)
    left, top = round(picture.width * 0.05), round(picture.height * 0.05)
    return encoded(picture.crop((left, top, picture.width - left, picture.height - top)))


def test_a_crop_with_another_label_is_no_leak_but_is_named(tmp_path: Path) -> None:
    """Of two labels only copies beyond doubt count as one picture."""
    crops = [(f"p{91 + 2 * number}", "test", cropped(2 * number)) for number in range(4)]
    proof = prove_disjoint(written(tmp_path, [*honest(), *crops]))
    named = "\n".join([*proof.leaks, *proof.notes])
    for number in range(4):
        assert f"p{2 * number:02d}.jpg (train) and p{91 + 2 * number}.jpg (test)" in named or (
            f"p{2 * number:02d} (p{2 * number:02d}.jpg) is in train" in named
        )
    assert proof.lines()[-len(proof.notes) - 1].startswith("looked for: equal bytes; pictures re-encoded")


def test_oversampled_copies_that_were_split_again_are_caught(tmp_path: Path) -> None:
    # The reference study's way to 88 %: two augmented copies of each training photo, and then a new split.
    training = [photo_id for photo_id, split, _ in honest() if split == "train"]
    pixels = np.stack([np.asarray(drawn(int(photo_id[1:])).resize((128, 128))) for photo_id in training])
    photos = honest()
    for view, split in ((0, "validation"), (1, "test")):
        copies = augment(pixels, draw_parameters(training, view, 0, Augmentation())).numpy().astype(np.uint8)
        photos += [
            (f"{name}-{view}", split, encoded(Image.fromarray(copy)))
            for name, copy in zip(training, copies, strict=True)
        ]
    proof = prove_disjoint(written(tmp_path, photos))
    found = {(pair.a, pair.b): pair.shared for pair in proof.pairs if pair.by == "group"}
    assert found["train", "validation"] >= 19
    assert found["train", "test"] >= 19


def test_validation_merged_into_training_is_caught(tmp_path: Path) -> None:
    photos = honest()
    merged = [(photo_id, "train", image) for photo_id, split, image in photos if split == "validation"]
    counts = shared(written(tmp_path, photos + merged))
    assert counts == {("train", "validation", by): 5 for by in ("photo id", "content hash", "group")}


def test_a_recorded_group_in_two_splits_is_caught(tmp_path: Path) -> None:
    dataset = written(tmp_path, honest(), groups={"p03": "burst", "p28": "burst"})
    assert shared(dataset) == {("train", "test", "group"): 1}


def test_hashes_and_looks_are_taken_from_the_bytes_not_from_the_list(tmp_path: Path) -> None:
    dataset = written(tmp_path, [*honest(), ("p90", "test", honest()[0][2])])
    rows = [row._replace(sha256=row.photo_id) for split in SPLITS for row in dataset.photos(split)]
    write_rows(tmp_path / PHOTOS, Photo._fields, rows)
    manifest = dataset.manifest.model_dump() | {"fingerprint": fingerprint_of(rows, dataset.class_names)}
    write_json(manifest, tmp_path / MANIFEST)
    assert not prove_disjoint(open_dataset(tmp_path)).passed


def test_without_the_rule_near_duplicates_are_noted_and_exact_copies_still_fail(tmp_path: Path) -> None:
    near = [*honest(), ("p90", "test", CHANGES["resized"](drawn(0)))]
    (tmp_path / "near").mkdir()
    proof = prove_disjoint(written(tmp_path / "near", near, grouping="none"))
    assert proof.passed
    assert proof.lines()[-1].startswith("note: at least 1 near-duplicates stand in two splits")
    (tmp_path / "exact").mkdir()
    exact = [*honest(), ("p90", "test", honest()[0][2])]
    assert not prove_disjoint(written(tmp_path / "exact", exact, grouping="none")).passed


def test_a_damaged_shard_proves_nothing(tmp_path: Path) -> None:
    dataset = written(tmp_path, honest())
    file = tmp_path / dataset.manifest.shards[0].file
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(UserError, match=file.name):
        prove_disjoint(dataset)
