"""Keys of a sweep file: meaning, default and check of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from search.config.registry import SAMPLERS, STOP_RULES, either
from search.config.space import DEFAULT_SPACE, Knob, check_point, dump_space, parse_space
from search.config.storage_url import StorageUrl, parse_url
from search.config.warm_start_source import Source, StudyAddress, parse_sources
from trainables.config import TrialConfig, one_line
from trainables.errors import UserError
from trainables.network.cost import COSTS

LOWER_IS_BETTER = ("train_loss", "train_cross_entropy", "val_loss", "val_cross_entropy", "epoch_seconds")
HIGHER_IS_BETTER = ("train_accuracy", "train_macro_f1", "val_accuracy", "val_macro_f1")
REPORTED = (*HIGHER_IS_BETTER, *LOWER_IS_BETTER)

Auto = Literal["auto"]
if TYPE_CHECKING:
    SamplerName = StopRuleName = str
else:  # Pydantic lists the names where one is unknown.
    SamplerName, StopRuleName = Literal[tuple(SAMPLERS)], Literal[tuple(STOP_RULES)]


def _about(kinds: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {kind.about}" for name, kind in kinds.items())


_OF_TWO = either(name for name, kind in SAMPLERS.items() if kind.several_objectives)


class _Section(BaseModel):
    """Keys whose descriptions are the help; a default in words stands in brackets at the end of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EarlyStopping(_Section):
    """When a scheduler stops a trial that does worse than others at the same epoch."""

    kind: StopRuleName = Field("asha", description=_about(STOP_RULES))
    grace_epochs: int = Field(1, ge=1, description="epochs that every trial may run")
    reduction_factor: float = Field(3.0, gt=1, description="at a rung, the best 1/reduction_factor of the trials go on")
    brackets: int = Field(1, ge=1, description="of asha: bracket s leaves out the first s rungs")
    min_results: int = Field(3, ge=1, description="other trials must have been at an epoch before one is stopped there")


class Resources(_Section):
    """How trials share the machine; `auto` is explained in search/tune/resources.py."""

    concurrent_trials: Auto | int = Field("auto", description="trials at once")
    threads_per_trial: Auto | int = Field("auto", description="CPU threads of a trial")
    gpus_per_trial: Auto | float = Field(
        "auto", description="0.25: four trials share a GPU; 0 keeps trials off the GPUs; more than 1: a whole number"
    )
    measure: bool = Field(
        True, description="without GPUs, measure first how many trials at once are fastest, and forecast the cost"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("concurrent_trials", "threads_per_trial"):
            value = getattr(self, key)
            if value != "auto" and value < 1:
                raise ValueError(f"resources.{key}: must be auto or at least 1, not {value}")
        share = self.gpus_per_trial
        if share != "auto" and (share < 0 or (share > 1 and share != int(share))):
            raise ValueError(f"resources.gpus_per_trial: must be auto, 0 to 1, or a whole number, not {share}")
        return self


class Plateau(_Section):
    """End the sweep when its trials no longer find anything better."""

    trials: int = Field(ge=1, description="trials in a row that ended without a better best value")
    min_improvement: float = Field(
        0.0, ge=0, description="by how much it must be better; with two objectives, than all that cost no more"
    )


class Budget(_Section):
    """Limits of a sweep; trials that run when one is reached are stopped, and the best so far is the result."""

    epochs: int | None = Field(
        None, ge=1, description="of all trials together; as many as run at once may begin over it [no limit]"
    )
    hours: float | None = Field(None, gt=0, description="on the clock since this run or resume began [no limit]")
    gpu_hours: float | None = Field(
        None, gt=0, description="the time of each trial times its share of a GPU, added up [no limit]"
    )
    plateau: Plateau | None = Field(None, description="no better trial for so long [no limit]")

    @property
    def limited(self) -> bool:
        """Whether anything is limited at all."""
        return self != Budget()


class SweepConfig(_Section):
    """A sweep: what is searched, how, on which data, and where the records go."""

    name: str = Field(min_length=1, max_length=200, description="the study's name [the file's name]")
    dataset: str = Field(
        min_length=1, description="folder or URL (s3://bucket/dataset) that `python -m trainables prepare` wrote"
    )
    experiment: str = Field(
        min_length=1,
        description="folder for the records, new or empty, or a URL (s3://bucket/first): short for a folder, "
        "runs/first, and the URL as its mirror [runs/NAME]",
    )
    mirror: str | None = Field(
        None, description="URL that the records go to as they come, and where trials keep their checkpoints"
    )
    metric: str = Field("val_macro_f1", description=f"what is optimised: {either(REPORTED)}")
    mode: Literal["max", "min"] = Field("max", description="max or min [follows from the metric]")
    objectives: tuple[str, ...] = Field(
        (),
        description="in place of metric, [METRIC, COST]: the metric, and what a model costs, which is to be low: "
        "model_mb (MB of all weights, float32) or latency_ms (milliseconds for one photo); "
        f"with {_OF_TWO} [the metric alone]",
    )
    trials: int = Field(20, ge=1, description="how many trials")
    seed: int = Field(0, ge=0, description="what all chance follows from")
    space: dict[str, Knob] = Field(
        description="knobs to search: for each a list of choices, or a range {low, high, log, step, points}; any knob "
        "of a trial may be searched, also backbone, optimizer, label_smoothing, augmentation.rotation"
    )
    trial: dict[str, Any] = Field({}, description="knobs that are fixed")
    sampler: SamplerName = Field("tpe", description=_about(SAMPLERS))
    startup_trials: int = Field(
        5,
        ge=1,
        description=f"random trials before {either(name for name, kind in SAMPLERS.items() if kind.learns)} begins to "
        "model",
    )
    points: tuple[dict[str, Any], ...] = Field(
        (), description="configurations, or parts of them, to try first: a list of {knob: value}"
    )
    warm_start: tuple[Source, ...] = Field(
        (),
        description="experiments whose trials the sampler learns from (same metric), and studies that Optuna wrote: "
        "[runs/first, {storage: old.db or postgresql://…, study: NAME}]; they count for nothing else",
    )
    budget: Budget = Field(
        Budget(),
        description="limits that end the sweep, whichever is reached first, with the best so far as its result",
    )
    early_stopping: EarlyStopping = Field(
        EarlyStopping(), description="when a trial is stopped that does worse than others at the same epoch"
    )
    resources: Resources = Field(Resources(), description="how trials share the machine")
    max_failures: int = Field(
        1,
        ge=0,
        description="further tries of a trial whose worker was lost, or that ran out of memory beside others on its "
        "GPU (then with half as many neighbours)",
    )
    checkpoint_every: int = Field(
        1, ge=0, description="epochs between checkpoints, from which such a try or a resume goes on; 0: none"
    )
    keep_checkpoints: int = Field(1, ge=0, description="of how many of the best ended trials they stay on the disk")
    checkpoint_gb: float | None = Field(
        None,
        gt=0,
        description="the most disk all checkpoints may take, in GiB; the worst ended trials' go first [no limit]",
    )
    storage: StorageUrl | None = Field(
        None,
        description="postgresql://USER@HOST/DATABASE for the study; the password from PGPASSWORD or ~/.pgpass, or in "
        "the URL, which is then written nowhere [SQLite file in the experiment]",
    )
    store: str | None = Field(
        None, description="where activations computed once per node lie [store, beside the experiment]"
    )
    store_gb: float | None = Field(
        None, gt=0, description="the disk that they may take, in GiB [a part of what is free]"
    )
    address: str | None = Field(
        None, description="a running Ray cluster, also from RAY_ADDRESS; local: none [Ray is started here]"
    )

    @field_validator("space", mode="before")
    @classmethod
    def _parse_space(cls, raw: object) -> dict[str, Knob]:
        try:
            return parse_space(raw)
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_serializer("space")
    def _dump_space(self, space: dict[str, Knob]) -> dict[str, Any]:
        return dump_space(space)

    @field_validator("storage", mode="before")
    @classmethod
    def _parse_storage(cls, raw: object) -> StorageUrl | None:
        return raw if raw is None or isinstance(raw, StorageUrl) else parse_url(str(raw))

    @field_serializer("storage")
    def _dump_storage(self, storage: StorageUrl | None) -> str | None:
        return None if storage is None else storage.shown

    @field_validator("warm_start", mode="before")
    @classmethod
    def _parse_warm_start(cls, raw: object) -> tuple[Source, ...]:
        return parse_sources(raw)

    @field_serializer("warm_start")
    def _dump_warm_start(self, sources: tuple[Source, ...]) -> list[str | dict[str, str]]:
        return [source.as_json() if isinstance(source, StudyAddress) else source for source in sources]

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        rule = f"objectives: must be a metric and one of {', '.join(COSTS)}, such as [val_macro_f1, model_mb]"
        if names and (len(names) != 2 or names[0] in COSTS or names[1] not in COSTS):
            raise ValueError(f"{rule}, not [{', '.join(names)}]")
        return names

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.objectives and self.objectives[0] != self.metric:
            raise ValueError(f"metric: is {self.metric}, but the first of `objectives` is {self.objectives[0]}")
        sampler = SAMPLERS[self.sampler]
        if self.cost and not sampler.several_objectives:
            raise ValueError(f"sampler: {self.sampler} models one objective only; with two of them use {_OF_TWO}")
        if self.metric not in REPORTED:
            raise ValueError(f"metric: nobody reports {self.metric!r}; reported are: {', '.join(REPORTED)}")
        if self.mode != better(self.metric):
            raise ValueError(f"mode: {self.metric} is better when {_WORDS[self.mode]}; use {better(self.metric)}")
        for key in ("seed", "sweep_seed"):
            if key in self.trial:
                raise ValueError(f"trial.{key}: follows from the sweep's own seed; set `seed` instead")
        both = [name for name in self.space if _holds(self.trial, name)]
        if both:
            raise ValueError(f"trial.{both[0]}: is searched in `space` too; a knob is either fixed or searched")
        for key in ("points", "warm_start"):
            if getattr(self, key) and sampler.grid:
                others = either(name for name, kind in SAMPLERS.items() if not kind.grid)
                raise ValueError(f"{key}: the {self.sampler} sampler tries all of its points in any case; use {others}")
        if len(self.points) > self.trials:
            raise ValueError(f"points: there are {len(self.points)} of them, but only {self.trials} trials")
        if self.warm_start and not sampler.learns:
            others = either(name for name, kind in SAMPLERS.items() if kind.learns)
            raise ValueError(f"warm_start: the {self.sampler} sampler learns nothing from earlier trials; use {others}")
        return self

    @field_validator("points")
    @classmethod
    def _check_points(cls, points: tuple[dict[str, Any], ...], info: ValidationInfo) -> tuple[dict[str, Any], ...]:
        space = info.data.get("space")
        if space is None:
            return points  # Its own error is said.
        try:
            return tuple(check_point(space, point, f"points[{at}]") for at, point in enumerate(points))
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("trial")
    @classmethod
    def _check_trial(cls, trial: dict[str, Any]) -> dict[str, Any]:
        try:
            return TrialConfig.model_validate(trial).model_dump(include=_given(trial))
        except ValidationError as error:
            raise ValueError(
                f"trial.{one_line(error, TrialConfig)}".replace("trial.unknown", "trial: unknown")
            ) from None

    @property
    def cost(self) -> str | None:
        """What a model costs in this sweep, as its trials report it; None where only the metric counts."""
        return self.objectives[1] if self.objectives else None

    @property
    def learns(self) -> bool:
        """Whether the sampler learns from ended trials, so that later ones tend to be better."""
        return SAMPLERS[self.sampler].learns

    @property
    def max_epochs(self) -> int:
        """The most epochs that a trial may run."""
        return TrialConfig.model_validate(self.trial).epochs

    def whole_trial(self) -> dict[str, Any]:
        """Return all fields of TrialConfig as this sweep fixes them; those that it searches have their defaults."""
        return TrialConfig.model_validate(self.trial).model_dump()


_WORDS = {"max": "smaller", "min": "larger"}


def better(metric: str) -> Literal["max", "min"]:
    """Say whether larger or smaller values of a metric are better."""
    return "min" if metric in LOWER_IS_BETTER else "max"


def sweep_config(values: dict[str, Any]) -> SweepConfig:
    """Check `values` and return the sweep.

    Raises:
        UserError: one line that names the key, the value and what is allowed.
    """
    filled = {"space": DEFAULT_SPACE, **values}
    if filled.get("objectives") and isinstance(filled["objectives"], list | tuple):
        filled.setdefault("metric", filled["objectives"][0])
    filled.setdefault("mode", better(str(filled.get("metric", "val_macro_f1"))))
    try:
        return SweepConfig.model_validate(filled)
    except ValidationError as error:
        raise UserError(_line(error)) from None


def _line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["msg"]).removeprefix("Value error, ")
    return one_line(error, SweepConfig)


def _holds(trial: dict[str, Any], name: str) -> bool:
    outer, _, inner = name.partition(".")
    return outer in trial and (not inner or inner in trial[outer])


def _given(trial: dict[str, Any]) -> Any:
    """What of a TrialConfig was written in the file, in pydantic's `include` form."""
    return {key: set(value) if isinstance(value, dict) else True for key, value in trial.items()}
