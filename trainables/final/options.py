"""Options of `retrain`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FinalOptions(BaseModel):
    """How to run the final stage; None means what the description says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hand_over: Literal["better", "trial", "probe"] = Field(
        "better",
        description="which model to hand over, the trial's or the sweep's probe; better: the trial's where its "
        "validation macro F1 is higher by more than the standard error of the difference",
    )
    refit: Literal["none", "train+validation", "all"] | None = Field(
        None,
        description="fit the chosen model once more, with the epochs that validation chose, on the training and "
        "validation photos or on all; after all, the test figures are those of the model before "
        "(default: none, and train+validation where the probe is handed over)",
    )
    ensemble: int = Field(
        1,
        ge=1,
        le=10,
        description="train the chosen configuration with so many seeds; where they are better together on validation, "
        "their mean is handed over as one model, whose frozen part is computed once",
    )
    threshold: float = Field(0.3, ge=0, le=1, description="oversample families with a validation F1 below this")
    copies: int = Field(2, ge=1, le=20, description="augmented copies of each of their photos")
    patience: int = Field(5, ge=1, description="epochs without a lower validation loss")
    epochs: int | None = Field(None, ge=1, description="the most epochs to train (default: the sweep's)")
    views: int | None = Field(
        None, ge=1, description="augmented pictures of each photo (default: a new one every epoch)"
    )
    store: Path | None = Field(None, description="folder for stored activations (default: the sweep's, else store/)")
    store_gb: float | None = Field(
        None, description="the most disk they may take, in GB (default: half of what is free)"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads (default: all cores)")

    @model_validator(mode="after")
    def _check_ensemble(self) -> "FinalOptions":
        if self.ensemble > 1 and self.hand_over == "probe":
            raise ValueError(f"--ensemble {self.ensemble}: --hand-over probe takes no training; leave one of both out")
        return self
