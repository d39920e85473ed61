"""Files of weights: whether one fits a backbone, told without Keras and before anything starts.

weight_shapes.json holds how many arrays of each shape a backbone without top has (`trainable_layers` writes it).
"""

import io
import json
import re
import zipfile
from collections import Counter
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

SHAPES_FILE = Path(__file__).with_name("weight_shapes.json")
# Keras goes by the name: of a .weights.h5 and a .keras it expects its own layout, of a .h5 that of Keras 2.
_NAMES = (".weights.h5", ".keras", ".h5", ".hdf5")
_KERAS_3 = re.compile(r"layers/[^/]+/vars/\d+")
_NO_HDF5 = {
    b"<": "is a web page, not the file that it was to be",
    b"version https://git-lfs": "is a pointer of Git LFS: git lfs pull brings the file itself",
    b"PK": "is a zip archive, maybe a model in Keras' format .keras",
}


def misfit(file: Path, backbone: str) -> str | None:
    """Return what keeps Keras from loading a file into a backbone without top; None where nothing is known to.

    The sentence goes on after the file's name. A file may still be refused later, by Keras itself.
    """
    import h5py

    if not file.name.endswith(_NAMES):
        return "ends in neither .weights.h5 nor .h5, and Keras goes by that"
    with file.open("rb") as content:
        head = content.read(64)
    archive = file.suffix == ".keras"
    if not head:
        return "is empty"
    if archive != zipfile.is_zipfile(file) or not (archive or h5py.is_hdf5(file)):
        known = (what for start, what in _NO_HDF5.items() if head.lstrip().startswith(start))
        return next(known, "is no model in Keras' format .keras" if archive else "is no HDF5 file")
    try:
        source = file if not archive else io.BytesIO(zipfile.ZipFile(file).read("model.weights.h5"))
        with closing(h5py.File(source)) as opened:
            return _misfit(opened, backbone, keras_3=archive or file.name.endswith(".weights.h5"))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        return f"is damaged or cut off ({' '.join(str(error).split())[:120]})"


def shapes_of(base: Any) -> dict[str, int]:
    """Return how many weights of each shape a Keras model has, such as {"3x3x32x64": 2}."""
    return dict(sorted(Counter(map(_written, (weight.shape for weight in base.weights))).items()))


def _misfit(opened: Any, backbone: str, *, keras_3: bool) -> str | None:
    group = opened.get("model_weights", opened)
    by_keras_2 = any(name.startswith("layer_names") for name in group.attrs)  # Many names come in several attributes.
    arrays = _arrays(group)
    if not arrays:
        return "holds no weights"
    if keras_3 and by_keras_2:
        return "has the layout of Keras 2, which Keras reads where the name ends in .h5 and not in .weights.h5"
    if not keras_3 and not by_keras_2:
        ours = any(_KERAS_3.fullmatch(path) for path in arrays)
        return f"has {'the layout of Keras 3: let its name end in .weights.h5' if ours else 'no layout of Keras'}"
    stored = _stored()
    expected, every = Counter(stored[backbone]), Counter(map(_written, arrays.values()))
    found = Counter(_written(shape) for path, shape in arrays.items() if not keras_3 or _KERAS_3.fullmatch(path))
    # The largest: EfficientNetV2-B1 has all the shapes of B0.
    held = [name for name, shapes in stored.items() if Counter(shapes) <= every]
    largest = max(held, key=lambda name: sum(stored[name].values()), default=None)
    if largest not in (None, backbone):
        return f"holds the weights of {largest}"
    # Keras reads what it needs of its own layout, and of Keras 2's all or nothing.
    if expected == found or (keras_3 and expected <= found):
        return None
    if largest == backbone:
        more = "" if every == expected else f" and {(every - expected).total()} arrays besides"
        return f"holds a whole model, {backbone}{more}: load it and save the weights of the backbone alone"
    missing = expected - found
    return f"lacks {missing.total()} of its {expected.total()} arrays, one of shape {next(iter(missing))} for example"


def _arrays(group: Any) -> dict[str, tuple[int, ...]]:
    import h5py

    arrays: dict[str, tuple[int, ...]] = {}

    def note(path: str, item: Any) -> None:
        # Not the random state of a dropout layer.
        if isinstance(item, h5py.Dataset) and "seed_generator" not in path:
            arrays[path] = item.shape

    group.visititems(note)
    return arrays


def _written(shape: Any) -> str:
    return "x".join(map(str, shape))


@cache
def _stored() -> dict[str, dict[str, int]]:
    shapes: dict[str, dict[str, int]] = json.loads(SHAPES_FILE.read_text())
    return shapes
