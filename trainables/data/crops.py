"""Crops: the boxes of animals in photos, cut out as pictures of their own."""

import io
from typing import NamedTuple

from trainables.data.images import ImageUnreadable, decode, image_size

PADDING = 0.1
_QUALITY = 95


class Box(NamedTuple):
    """A box in the upright photo: left, top, width, height; as shares of its sides, or in pixels where not `relative`.

    Of a detector's box `confidence` is 0..1.
    """

    left: float
    top: float
    width: float
    height: float
    relative: bool = True
    confidence: float = 1.0

    def of(self, width: int, height: int) -> "Box":
        """The same box as shares of a picture of `width` × `height` pixels."""
        if self.relative:
            return self
        return Box(
            self.left / width, self.top / height, self.width / width, self.height / height, True, self.confidence
        )

    def text(self) -> str:
        """Left, top, width and height as they stand in photos.csv: in full, so that the same crop can be made again."""
        return " ".join(map(repr, self[:4]))


def parse_box(text: str) -> Box | None:
    """The inverse of `Box.text`, of a relative box; None for "".

    Raises:
        ValueError: it is no box.
    """
    if not text:
        return None
    left, top, width, height = map(float, text.split(" "))
    return Box(left, top, width, height)


def crop(image: bytes, box: Box, padding: float = PADDING) -> tuple[bytes, Box]:
    """Cut a box out of a photo, as a JPEG file, and the box as shares of the photo's sides.

    The box grows by `padding` of its longer side at each side, then its shorter side grows until it is square, as a
    network's input is; what lies outside of the photo is left off.

    Raises:
        ImageUnreadable: the photo does not decode, or the box lies outside of it ("bad_box").
    """
    picture = decode(image)
    share = box.of(*image_size(image))
    width, height = picture.size  # Of a huge photo smaller than the file says.
    left, top = share.left * width, share.top * height
    right, bottom = left + share.width * width, top + share.height * height
    if not (right > left and bottom > top and left < width and top < height and right > 0 and bottom > 0):
        raise ImageUnreadable("bad_box", f"the box {share.text()} is empty or outside of the photo")
    side = max(right - left, bottom - top) * (1 + 2 * padding)
    left, right = _span((left + right) / 2, side, width)
    top, bottom = _span((top + bottom) / 2, side, height)
    stream = io.BytesIO()
    picture.crop(
        (round(left), round(top), max(round(right), round(left) + 1), max(round(bottom), round(top) + 1))
    ).save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    return stream.getvalue(), share


def _span(middle: float, side: float, length: int) -> tuple[float, float]:
    """From where to where a side about `middle` reaches, moved into the photo where it fits."""
    side = min(side, length)
    start = min(max(middle - side / 2, 0), length - side)
    return start, start + side
