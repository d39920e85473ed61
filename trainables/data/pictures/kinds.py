"""Kinds of picture files, told by name or by first bytes."""

import io
from collections.abc import Callable
from pathlib import Path

PHOTO_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".webp", ".ppm",
        ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx",
    }
)  # fmt: skip
"""Endings of a photo's name, lower case; the bytes decide what the file is."""

# Most camera raw files begin as a TIFF does, and a reader of TIFF would take their thumbnail for the photo.
_RAW_SUFFIXES = frozenset(
    {".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".srw", ".raw"}
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"})
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_STARTS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "TIFF": _TIFF,
    "JXL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "JPEG2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
}
_SUFFIX_OF = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "JXL": ".jxl", "JPEG2000": ".jp2", "GIF": ".gif",
              "BMP": ".bmp", "HEIF": ".heic", "WEBP": ".webp"}  # fmt: skip
_HEAD = 16


def kind_of(image: bytes) -> str | None:
    """The kind of picture that a file's bytes begin as; None for anything else. HEIF stands for AVIF too."""
    for kind, starts in _STARTS.items():
        if image.startswith(starts):
            return kind
    if image[4:8] == b"ftyp" and image[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return "WEBP" if image[:4] == b"RIFF" and image[8:12] == b"WEBP" else None


def suffix_of(image: bytes) -> str | None:
    """The ending of a file with these bytes, by its first ones; None where they are no picture's."""
    kind = kind_of(image)
    return _SUFFIX_OF[kind] if kind else None


def why_no_photo(file: Path) -> str | None:
    """Why a file is passed over, in a few words; None where it is to be read as a photo.

    A name decides where it has one of `PHOTO_SUFFIXES`, the first bytes where it has another ending or none.
    """
    suffix = file.suffix.lower()
    if file.name.startswith("."):
        return "by its name"
    if suffix in _RAW_SUFFIXES:
        return "a camera's raw file; export it as JPEG or TIFF"
    if not file.is_file():  # A pipe must not be opened: it would wait for ever.
        return "a broken link or a special file"
    if suffix in PHOTO_SUFFIXES:
        return None
    try:
        with file.open("rb") as handle:
            return None if kind_of(handle.read(_HEAD)) else "by its name and its first bytes"
    except OSError as error:
        return error.strerror or "cannot be read"


def heif_reader() -> str | None:
    """Make Pillow read HEIC and HEIF; returns what is missing for that, or None."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        return f"HEIC needs pillow-heif, which cannot be imported here ({error}); pip install pillow-heif"
    register: Callable[[], None] = register_heif_opener
    register()
    return None


def jxl_shape(image: bytes) -> tuple[int, int]:
    """Width and height of a JPEG XL as shown, read from its header alone (ISO/IEC 18181-1, C.2 and D.2).

    Raises:
        ValueError: the header is damaged.
    """
    bits = _Bits(_codestream(image)[2:])
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    tops = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
    width = height * tops[ratio][0] // tops[ratio][1] if ratio else _side(bits, small)
    turned = not bits.take(1) and bits.take(1) and bits.take(3) >= 4  # Orientation less 1; 5 to 8 lie on their side.
    return (height, width) if turned else (width, height)


def _side(bits: "_Bits", small: int) -> int:
    return 8 * (1 + bits.take(5)) if small else 1 + bits.take((9, 13, 18, 30)[bits.take(2)])


class _Bits:
    """Bits of a text of bytes, the least significant of a byte first."""

    def __init__(self, content: bytes) -> None:
        self._left = int.from_bytes(content[:32], "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value


def _codestream(image: bytes) -> bytes:
    """The first bytes of the codestream, which may stand in a box."""
    if image.startswith(b"\xff\x0a"):
        return image[:64]
    stream = io.BytesIO(image)
    while len(head := stream.read(8)) == 8:
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        if size == 1:
            size = int.from_bytes(stream.read(8), "big") - 8
        if name in (b"jxlc", b"jxlp"):
            content = stream.read(64)
            return content[4:] if name == b"jxlp" else content
        if size < 8:
            break
        stream.seek(size - 8, io.SEEK_CUR)
    raise ValueError("a JPEG XL container without a picture")
