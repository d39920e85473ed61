"""Demo photos: scikit-learn's handwritten digits as a long-tailed set of files."""

from pathlib import Path

import numpy as np
from PIL import Image

from trainables.files.output import check_free, whole_or_nothing

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MOST, FEWEST = 150, 20
SIDE = 96


def write_digits(out: Path, most: int = MOST, fewest: int = FEWEST) -> dict[str, int]:
    """Write class folders digits_zero … digits_nine to `out`, from `most` down to `fewest` images; returns the counts.

    The images are scans of 8 × 8 pixels (UCI, 1998), enlarged to `SIDE` × `SIDE`; odd classes are PNG, even ones JPEG.

    Raises:
        UserError: `out` holds anything.
    """
    from sklearn.datasets import load_digits

    out = out.resolve()
    check_free(out)
    digits = load_digits()
    counts = np.geomspace(most, fewest, len(NAMES)).round().astype(int)
    with whole_or_nothing(out) as folder:
        for digit, (name, count) in enumerate(zip(NAMES, counts, strict=True)):
            scans = digits.images[digits.target == digit][:count]
            (folder / f"digits_{name}").mkdir()
            for number, scan in enumerate(scans):
                # 16 grey levels, ink high; on paper ink is dark.
                picture = Image.fromarray((255 - scan * (255 / 16)).astype(np.uint8))
                large = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
                kind = "png" if digit % 2 else "jpg"
                large.save(folder / f"digits_{name}" / f"{name}_{number:03d}.{kind}", quality=90)  # The JPEG's.
    return {f"digits_{name}": int(count) for name, count in zip(NAMES, counts, strict=True)}
