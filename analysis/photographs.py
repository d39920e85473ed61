"""The final stage's pictures of training photos, as they stand in the page."""

import base64
from typing import NamedTuple

from analysis.data.report_data import Findings
from trainables.files.experiment import PICTURES_FOLDER

_SHOWN = {
    "samples.jpg": (
        "Photos of each family",
        "Rows of up to six training photos of a family, with its name and count: the most numerous families first, "
        "then, where there are many, the rarest.",
    ),
    "augmentation.jpg": (
        "What augmentation makes of a photo",
        "Rows of a training photo as it is, followed by the altered views of it that training was shown.",
    ),
}


class Photograph(NamedTuple):
    """A JPEG as a data address, with its caption and the text for those who cannot see it."""

    name: str
    title: str
    alt: str
    address: str


def photographs(findings: Findings) -> list[Photograph]:
    """Those pictures that the final stage left."""
    record = findings.experiment.final
    if record is None:
        return []
    return [
        Photograph(name.partition(".")[0], title, alt, f"data:image/jpeg;base64,{_base64(file.read_bytes())}")
        for name, (title, alt) in _SHOWN.items()
        if (file := record.folder / PICTURES_FOLDER / name).is_file()
    ]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
