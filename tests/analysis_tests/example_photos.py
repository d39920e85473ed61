"""Drawn photos for the example's final stage, in the files that a real one leaves: mistakes and confusions."""

from pathlib import Path

import numpy as np
from PIL import Image

FAMILIES = ("chordata_felidae", "chordata_canidae", "chordata_ursidae")


def write_example_photos(final: Path, mistakes: int = 15) -> None:
    """pictures/mistakes.csv and pictures/examples/examples.csv, with a JPEG for each file that they name."""
    pictures = final / "pictures"
    (pictures / "examples").mkdir(parents=True)
    lines = ["photo,cam,photo_id,source,family,predicted,probability,probability_true"]
    for number in range(mistakes):
        names = (f"mistake_{number:02d}.jpg", f"mistake_{number:02d}_cam.jpg")
        for shift, name in enumerate(names):
            _draw(pictures / name, number + 40 * shift)
        guess = FAMILIES[1 + number % 2]
        lines.append(f"{names[0]},{names[1]},p{number},s,{FAMILIES[0]},{guess},{0.97 - 0.02 * number:.6f},0.01")
    (pictures / "mistakes.csv").write_text("\n".join(lines) + "\n")
    rows = [
        ("confused", "test", 0, 1, "0.9"),
        ("confused", "test", 0, 1, "0.8"),
        ("compare", "train", 1, 1, ""),
        ("confused", "test", 1, 2, "0.7"),
        ("compare", "train", 2, 2, ""),
        ("compare", "train", 2, 2, ""),
    ]
    lines = ["file,kind,split,photo_id,family,predicted,probability"]
    for number, (kind, split, family, predicted, sure) in enumerate(rows):
        _draw(pictures / "examples" / f"{number:03d}.jpg", 80 + number)
        lines.append(f"{number:03d}.jpg,{kind},{split},p{number},{FAMILIES[family]},{FAMILIES[predicted]},{sure}")
    (pictures / "examples" / "examples.csv").write_text("\n".join(lines) + "\n")


def _draw(file: Path, seed: int) -> None:
    """A blurred pattern: compresses about as a photo does."""
    small = np.random.default_rng(seed).integers(30, 230, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC).save(file, quality=80)
