"""Drawn photos for the tests of the data stage: small, all different, and made again the same from their number."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainables.data.options import PrepareOptions

QUICK = PrepareOptions(workers=1)


def drawn(number: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Coloured clouds: pictures of two numbers have nothing in common, and each survives JPEG and a smaller size."""
    clouds = np.random.default_rng(number).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    return Image.fromarray(clouds).resize(size, Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def write_photos(root: Path, counts: Mapping[str, int], start: int = 0) -> list[str]:
    """Write root/CLASS/000.jpg …, all different; returns their paths below root."""
    sources = []
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            drawn(start + len(sources)).save(root / name / f"{number:03d}.jpg", quality=90)
            sources.append(f"{name}/{number:03d}.jpg")
    return sources
