"""trainables/network/weight_files.py: why a file cannot be a backbone's weights, said without Keras."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import pytest

from tests.checkout import ROOT
from trainables.network.weight_files import SHAPES_FILE, misfit

SHAPES = json.loads(SHAPES_FILE.read_text())


def arrays_of(backbone: str) -> list[tuple[int, ...]]:
    every = [[tuple(map(int, shape.split("x"))) if shape else ()] * count for shape, count in SHAPES[backbone].items()]
    return [shape for shapes in every for shape in shapes]


def write(file: Path, shapes: list[tuple[int, ...]], below: str = "", layout: int = 3) -> Path:
    """Write arrays that take no room, as Keras 3 or Keras 2 lays them out."""
    with h5py.File(file, "w") as opened:
        for number, shape in enumerate(shapes):
            layer = f"layer_{number}"
            opened.create_dataset(
                f"{below}layers/{layer}/vars/0" if layout == 3 else f"{layer}/{layer}/kernel:0", shape
            )
        if layout == 2:
            opened.attrs["layer_names"] = [f"layer_{number}" for number in range(len(shapes))]
    return file


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("w.weights.h5", b"", "is empty"),
        ("w.h5", b"\n<!DOCTYPE html><html>", "is a web page"),
        ("w.h5", b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        ("w.h5", b"junk", "is no HDF5 file"),
        ("w.keras", b"junk", "is no model in Keras' format .keras"),
        ("w.pth", b"junk", "ends in neither .weights.h5 nor .h5"),
    ],
)
def test_what_is_no_file_of_weights_is_named(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(content)
    found = misfit(tmp_path / name, "inception_v3")
    assert found is not None and found.startswith(why) and "\n" not in found


def test_a_zip_and_a_file_that_was_cut_off_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.h5", "w") as archive:
        archive.writestr("config.json", "{}")
    assert "is a zip archive" in str(misfit(tmp_path / "w.h5", "inception_v3"))
    (tmp_path / "w.h5").rename(tmp_path / "w.keras")
    assert "is damaged" in str(misfit(tmp_path / "w.keras", "inception_v3"))
    file = write(tmp_path / "cut.weights.h5", arrays_of("mobilenet_v2"))
    file.write_bytes(file.read_bytes()[:20_000])
    assert "is damaged or cut off (" in str(misfit(file, "mobilenet_v2"))


@pytest.mark.parametrize("backbone", SHAPES)
@pytest.mark.parametrize(("name", "layout"), [("w.weights.h5", 3), ("w.h5", 2), ("w.hdf5", 2)])
def test_a_backbones_own_weights_fit_it_alone(tmp_path: Path, backbone: str, name: str, layout: int) -> None:
    file = write(tmp_path / name, arrays_of(backbone), layout=layout)
    assert misfit(file, backbone) is None
    for other in SHAPES.keys() - {backbone}:
        assert misfit(file, other) == f"holds the weights of {backbone}"


def test_the_wrong_layout_is_told_with_the_name_that_would_do(tmp_path: Path) -> None:
    arrays = arrays_of("inception_v3")
    old, new = write(tmp_path / "a.weights.h5", arrays, layout=2), write(tmp_path / "b.h5", arrays)
    assert "has the layout of Keras 2, which Keras reads where the name ends in .h5" in str(misfit(old, "inception_v3"))
    assert "has the layout of Keras 3: let its name end in .weights.h5" in str(misfit(new, "inception_v3"))
    foreign = tmp_path / "c.h5"
    with h5py.File(foreign, "w") as opened:
        opened.create_dataset("conv1.weight", (32, 3, 3, 3))
    assert misfit(foreign, "inception_v3") == "has no layout of Keras"
    with h5py.File(tmp_path / "d.h5", "w"):
        pass
    assert misfit(tmp_path / "d.h5", "inception_v3") == "holds no weights"


def test_a_classifier_on_top_is_left_alone_by_keras_3_and_refused_by_keras_2(tmp_path: Path) -> None:
    arrays = [*arrays_of("inception_v3"), (2048, 1000), (1000,)]
    assert misfit(write(tmp_path / "a.weights.h5", arrays), "inception_v3") is None
    whole = "holds a whole model, inception_v3 and 2 arrays besides"
    assert whole in str(misfit(write(tmp_path / "a.h5", arrays, layout=2), "inception_v3"))
    inside = write(tmp_path / "b.weights.h5", arrays, below="layers/functional/")
    assert whole in str(misfit(inside, "inception_v3"))


def test_weights_of_no_backbone_are_told_by_what_they_lack(tmp_path: Path) -> None:
    file = write(tmp_path / "a.weights.h5", arrays_of("inception_v3")[:-3])
    assert str(misfit(file, "inception_v3")).startswith("lacks 3 of its 376 arrays, one of shape ")


def test_it_needs_no_keras() -> None:
    code = (
        "import sys; from trainables.network.backbones import check_weights\n"
        "try: check_weights('inception_v3', 'README.md')\n"
        "except Exception as error: assert 'ends in neither' in str(error), error\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
