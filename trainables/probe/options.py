"""Options of `probe`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from trainables.config import MOST_SEED, Backbone


class ProbeOptions(BaseModel):
    """What to probe and how; None means what the description says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: Backbone = Field("inception_v3", description="the frozen network")
    weights: str = Field("auto", description="auto, imagenet, random, or a weights file without top")
    image_size: int = Field(299, ge=32, le=2048, description="side of the photos in pixels")
    precision: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "auto",
        description="what the backbone computes train and validation in; test is always float32; auto: bfloat16 on a "
        "processor that has it, without a GPU",
    )
    imbalance: Literal["class_weights", "effective_number", "logit_adjustment", "none"] = Field(
        "class_weights", description="balanced class weights for the first two, none for the others"
    )
    store: Path | None = Field(None, description="folder for stored features (default: store/ beside --out)")
    store_gb: float | None = Field(None, gt=0, description="most disk they may take, in GB (default: half of the free)")
    threads: int | None = Field(None, ge=1, description="CPU threads (default: all cores)")
    seed: int = Field(0, ge=0, lt=MOST_SEED, description="of random weights")
