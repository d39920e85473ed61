"""Options of `prepare`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

DATA_BOXES = "boxes"
"""The word of --crop for the boxes that the data themselves have."""

NEAR_DUPLICATES = "near-duplicates"
GROUP_RULES = (NEAR_DUPLICATES, "bursts", "species", "none")
DEFAULT_RULES = (NEAR_DUPLICATES,)


class PrepareOptions(BaseModel, extra="forbid", frozen=True):
    """How to prepare; `fractions` are training, validation, test; `workers` None means one per usable core."""

    seed: int = Field(default=0, ge=0, description="what the split depends on besides the photos")
    fractions: tuple[float, float, float] = Field(
        default=(0.7, 0.15, 0.15),
        description="shares of the photos, sum 1",
        json_schema_extra={"metavar": ["TRAIN", "VALIDATION", "TEST"]},
    )
    min_photos: int = Field(
        default=1, ge=1, description="leave out classes with fewer usable photos", json_schema_extra={"metavar": "N"}
    )
    splits: Literal["new", "given"] = Field(
        default="new",
        description="split the photos anew, or keep the splits that they came in (folders called train, val, test)",
    )
    label_level: str = Field(
        default="family",
        description="phylum, class, order, family, genus or species, where the metadata has it; name takes the names "
        "as they stand, whatever their rank; where folders lie in folders, the number of the one that is the label: 1 "
        "is the outermost",
        json_schema_extra={"metavar": "LEVEL"},
    )
    exclude: Path | None = Field(
        default=None,
        description="photos to leave out: one path below PHOTOS a line, or a CSV with a column source",
        json_schema_extra={"metavar": "FILE"},
    )
    group: tuple[str, ...] = Field(
        default=DEFAULT_RULES,
        description="what must not be parted: near-duplicates (default, with what the data say is one sequence or "
        "observation), bursts (one species, adjacent content ids), species, none, or a column of the data, such as "
        "station, sequence, day, photographer or specimen; station+day is both at once",
        json_schema_extra={"metavar": "RULE"},
    )
    split_by_time: bool = Field(
        default=False, description="the earliest photos for training, the next for validation, the latest for test"
    )
    taxonomy: Path | None = Field(
        default=None,
        description="CSV that gives names their ranks: a column name (or species), and family, genus, …",
        json_schema_extra={"metavar": "FILE"},
    )
    also: tuple[Literal["blank", "human", "vehicle", "unknown"], ...] = Field(
        default=(),
        description="camera traps: what to keep as a class of its own besides animals (default: none)",
    )
    crop: str | None = Field(
        default=None,
        description="cut animals out of the photos: MegaDetector's results (JSON), or boxes, for those of the data",
        json_schema_extra={"metavar": "FILE"},
    )
    min_confidence: float = Field(
        default=0.2, ge=0, le=1, description="crop what the detector is so sure of", json_schema_extra={"metavar": "P"}
    )
    crop_padding: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="widen a box by this share of its longer side",
        json_schema_extra={"metavar": "SHARE"},
    )
    two_labels: Literal["train", "exclude"] = Field(
        default="train",
        description="photos of one picture (near-duplicates) that carry different labels: use them in training only, "
        "each with its own label, or leave them out",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        description="processes that look at the photos (default: one per core)",
        json_schema_extra={"metavar": "N"},
    )
