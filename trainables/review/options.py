"""Options of `review`."""

from pydantic import BaseModel, ConfigDict, Field

from trainables.config import MOST_SEED
from trainables.data.options import DEFAULT_RULES


class ReviewOptions(BaseModel):
    """How to review; `tiny` is in pixels of the shorter side, `image_size` of the square that a photo becomes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    top: int | None = Field(
        None,
        ge=1,
        description="photos to list as likely irrelevant (default: 6.4 % of all, twice what the study removed)",
        json_schema_extra={"metavar": "N"},
    )
    weights: str = Field(
        "auto",
        description="of InceptionV3: auto (default), imagenet, random, or a file without top",
        json_schema_extra={"metavar": "WEIGHTS"},
    )
    image_size: int = Field(
        299,
        ge=1,
        description="size at which photos are judged (default 299; 139 takes a fifth of the time and finds less)",
        json_schema_extra={"metavar": "PIXELS"},
    )
    tiny: int = Field(
        64, ge=1, description="list photos whose shorter side is less", json_schema_extra={"metavar": "PIXELS"}
    )
    label_level: str = Field(
        "family",
        description="phylum, class, order, family, genus or species, where the metadata has it; the number of the "
        "folder that is the label, where folders lie in folders: 1 is the outermost",
        json_schema_extra={"metavar": "LEVEL"},
    )
    group: tuple[str, ...] = Field(
        DEFAULT_RULES,
        description="photos that must not vouch for each other: near-duplicates (default), bursts (one species, "
        "adjacent content ids), species, or none",
        json_schema_extra={"metavar": "RULE"},
    )
    seed: int = Field(
        0, ge=0, lt=MOST_SEED, description="of the folds in which photos are judged, and of random weights"
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="processes that look at the photos (default: one per core)",
        json_schema_extra={"metavar": "N"},
    )
