"""Search space: each knob's range or choices, checked against TrialConfig."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainables.config import Augmentation, TrialConfig
from trainables.errors import UserError, one_line

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Scalar = bool | int | float | str

_MOST_VALUES = 100_000  # of a knob; more are taken for endless, and never tried to their end

# The clock of early stopping and the sweep's own seed: neither is a knob that a sampler may turn.
_NOT_SEARCHED = {
    "epochs": "it is the clock of early stopping",
    "seed": "it follows from the sweep's seed",
    "sweep_seed": "it is the sweep's seed",
    "validation": "trials are compared by it",
}

DEFAULT_SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "dropout": {"low": 0.0, "high": 0.6},
    "dense_units": [128, 256, 512],
    "unfrozen_layers": [0, 31, 62],
}


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; `points` is how many of them the grid sampler tries."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: int | float = Field(description="the least value, included")
    high: int | float = Field(description="the greatest value, included")
    log: bool = Field(False, description="whether it is searched on a logarithmic scale")
    step: int | float | None = Field(None, description="distance between values, from low [any value between]")
    points: int | None = Field(None, description="how many values the grid sampler tries")


class Choices(BaseModel):
    """One of a few values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: tuple[Scalar, ...]


Knob = Range | Choices


def parse_space(raw: object) -> dict[str, Knob]:
    """Check the `space` section of a sweep file.

    Raises:
        UserError: an unknown knob, an empty list, a range that is upside down, a log range that reaches 0, or a
            value that TrialConfig refuses.
    """
    if not isinstance(raw, dict) or not raw:
        raise UserError(f"space: must map at least one knob to a range or a list of choices, not {raw!r}")
    flat: dict[str, Any] = {}
    for name, spec in raw.items():
        if name == "augmentation" and isinstance(spec, dict):
            found = {f"augmentation.{inner}": inner_spec for inner, inner_spec in spec.items()}
        else:
            found = {str(name): spec}
        for twice in flat.keys() & found.keys():
            raise UserError(f"space.{twice}: stands there twice, by its whole name and in a section; keep one")
        flat |= found
    return {name: _knob(name, spec) for name, spec in flat.items()}


def dump_space(space: dict[str, Knob]) -> dict[str, Any]:
    """Write the space as it stands in a sweep file; `parse_space` reads it back to an equal one."""
    return {
        name: list(knob.values) if isinstance(knob, Choices) else knob.model_dump(exclude_defaults=True)
        for name, knob in space.items()
    }


def distributions(space: dict[str, Knob]) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions; unlike `tune.randint`, upper bounds are included."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, BaseDistribution] = {}
    for name, knob in space.items():
        if isinstance(knob, Choices):
            made[name] = CategoricalDistribution(knob.values)
        elif _annotation(name) is int:
            made[name] = IntDistribution(int(knob.low), int(knob.high), log=knob.log, step=int(knob.step or 1))
        else:
            made[name] = FloatDistribution(float(knob.low), float(knob.high), log=knob.log, step=knob.step)
    return made


def grid(space: dict[str, Knob]) -> dict[str, list[Scalar]]:
    """Return the values of each knob that the grid sampler combines.

    Raises:
        UserError: a range without `points`, of which no grid can be made.
    """
    return {name: values_of(name, knob, grid=True) or [] for name, knob in space.items()}


def values_of(name: str, knob: Knob, *, grid: bool = False) -> list[Scalar] | None:
    """Return all values that a knob may take (with `grid`, those of the grid); None where there is no end of them."""
    if isinstance(knob, Choices):
        return list(knob.values)
    whole = _annotation(name) is int
    count = _count(knob, whole=whole, grid=grid)
    if count is not None and count > _MOST_VALUES:
        if grid:
            raise UserError(f"space.{name}: has {count:,} values, and a grid at most {_MOST_VALUES:,}")
        return None
    if knob.step is None and not grid:
        return list(range(int(knob.low), int(knob.high) + 1)) if whole else None
    if knob.step is not None:
        # As Optuna's distributions have it: the last step may end below `high`.
        steps = range(math.floor((knob.high - knob.low) / knob.step + 1e-9) + 1)
        return [(int if whole else float)(on_step(knob, knob.low + knob.step * at)) for at in steps]
    import numpy as np  # Not at the top: --help reads the sweep's keys.

    if knob.points is None:
        raise UserError(f"space.{name}: the grid sampler needs `points` (or a step) for a range, or a list of choices")
    values = (np.geomspace if knob.log else np.linspace)(knob.low, knob.high, knob.points)
    if whole:
        return cast(list[Scalar], sorted({round(value) for value in values.tolist()}))
    return [float(value) for value in np.clip(values, knob.low, knob.high).tolist()]


def _count(knob: Range, *, whole: bool, grid: bool) -> int | None:
    """How many values a range has; None without end, or where it does not say."""
    if knob.step is not None:
        return math.floor((knob.high - knob.low) / knob.step + 1e-9) + 1
    if grid:
        return knob.points
    return int(knob.high) - int(knob.low) + 1 if whole else None


def on_step(knob: Knob, value: Any) -> Any:
    """Return the value in decimal steps from `low`, as people write it: 0.3 for 3 * 0.1, which is 0.30000000000000004.

    One that is no multiple of a step within rounding, and one of a knob without steps, stays as it is.
    """
    if not isinstance(knob, Range) or knob.step is None:
        return value
    low, step = Decimal(str(knob.low)), Decimal(str(knob.step))
    exact = low + round((Decimal(str(value)) - low) / step) * step
    return type(value)(exact) if math.isclose(exact, value, rel_tol=1e-9, abs_tol=1e-12) else value


def check_point(space: dict[str, Knob], point: object, where: str) -> dict[str, Scalar]:
    """Check a (partial) configuration, which errors call `where`; return it as TrialConfig holds its values.

    Raises:
        UserError: it is no mapping, a knob is not searched, or a value lies outside its range or choices.
    """
    if not isinstance(point, dict) or not point:
        raise UserError(f"{where}: must map knobs of the space to values, not {point!r}")
    checked: dict[str, Any] = {}
    for name, value in point.items():
        if name not in space:
            raise UserError(f"{where}.{name}: is not in the space, which has: {', '.join(space)}")
        try:
            checked[name] = _accepted(name, value)
        except UserError as error:
            raise UserError(str(error).replace("space.", f"{where}.", 1)) from None
        knob, inside = space[name], checked[name]
        if isinstance(knob, Choices):
            held = any(inside == choice and type(inside) is type(choice) for choice in knob.values)
        else:
            steps = 0.0 if knob.step is None else (inside - knob.low) / knob.step
            held = knob.low <= inside <= knob.high and abs(steps - round(steps)) < 1e-8
        if not held:
            raise UserError(f"{where}.{name}: {value!r} is not in the space, {in_words(space[name])}")
    return checked


def assemble(fixed: dict[str, Any], params: dict[str, Any]) -> TrialConfig:
    """Merge the sweep's fixed knobs with one suggestion (dotted names go into `augmentation`)."""
    values = dict(fixed)
    for name, value in params.items():
        outer, _, inner = name.partition(".")
        if inner:
            values[outer] = {**values.get(outer, {}), inner: value}
        else:
            values[name] = value
    return TrialConfig.model_validate(values)


def knob_value(config: dict[str, Any], name: str) -> Any:
    """Return what a trial's configuration holds for a knob (dotted names lie in `augmentation`)."""
    outer, _, inner = name.partition(".")
    return config[outer][inner] if inner else config[outer]


def searchable() -> list[str]:
    """Names of all knobs that a space may hold."""
    plain = [name for name in TrialConfig.model_fields if name not in {*_NOT_SEARCHED, "augmentation"}]
    return plain + [f"augmentation.{name}" for name in Augmentation.model_fields]


def _knob(name: str, spec: object) -> Knob:
    if (outer := name.partition(".")[0]) in _NOT_SEARCHED:
        raise UserError(f"space.{name}: cannot be searched, {_NOT_SEARCHED[outer]}")
    if name not in searchable():
        raise UserError(f"space.{name}: unknown knob; searchable are: {', '.join(searchable())}")
    if isinstance(spec, dict):
        return _range(name, spec)
    if not isinstance(spec, list):
        raise UserError(f"space.{name}: must be a list of choices or a range {{low, high}}, not {spec!r}")
    if not spec:
        raise UserError(f"space.{name}: the list of choices is empty; give at least one value")
    values = tuple(_accepted(name, value) for value in spec)
    if unlike := [value for value in values if isinstance(value, list | dict)]:
        raise UserError(f"space.{name}: a choice must be one word or number, not {unlike[0]!r}; fix it in `trial`")
    if name == "precision" and "auto" in values:
        raise UserError("space.precision: auto is no value to try, it stands for float32 or bfloat16; list these")
    twice = [value for index, value in enumerate(values) if value in values[:index]]
    if twice:
        raise UserError(f"space.{name}: {twice[0]!r} is listed twice")
    return Choices(values=values)


def _range(name: str, spec: dict[str, Any]) -> Range:
    kind = _annotation(name)
    if kind not in (int, float):
        allowed = ", ".join(str(value) for value in get_args(kind)) or "true, false"
        raise UserError(f"space.{name}: is not a number, list its choices instead, such as [{allowed}]")
    try:
        knob = Range.model_validate(spec)
    except ValidationError as error:
        raise UserError(f"space.{name}: {one_line(error, Range)}") from None
    if not (math.isfinite(knob.low) and math.isfinite(knob.high)):
        raise UserError(f"space.{name}: low and high must be finite, not {knob.low} and {knob.high}")
    if knob.low >= knob.high:
        raise UserError(f"space.{name}: low must be below high, not low {knob.low} and high {knob.high}")
    if knob.log and knob.low <= 0:
        raise UserError(f"space.{name}: a log range must start above 0, not at {knob.low}")
    if knob.log and knob.step is not None:
        raise UserError(f"space.{name}: a log range has no step, not {knob.step}")
    if knob.step is not None and not 0 < knob.step <= knob.high - knob.low:
        raise UserError(f"space.{name}: step must be above 0 and fit into the range, not {knob.step}")
    if knob.points is not None and knob.points < 1:
        raise UserError(f"space.{name}: points must be at least 1, not {knob.points}")
    parts = [part for part in (knob.low, knob.high, knob.step) if part is not None]
    if kind is int and any(part != int(part) for part in parts):
        raise UserError(f"space.{name}: is a whole number, so low, high and step must be, not {parts}")
    low, high = _accepted(name, knob.low), _accepted(name, knob.high)
    return knob.model_copy(update={"low": low, "high": high})


def _accepted(name: str, value: object) -> Scalar:
    """Return the value as TrialConfig holds it, or refuse it."""
    outer, _, inner = name.partition(".")
    model: type[BaseModel] = Augmentation if inner else TrialConfig
    try:
        checked = model.model_validate({inner or outer: value})
    except ValidationError as error:
        raise UserError(f"space.{one_line(error, model).replace(inner or outer, name, 1)}") from None
    return cast(Scalar, getattr(checked, inner or outer))


def in_words(knob: Knob) -> str:
    """Return what a knob may be: "1e-05 to 0.01 (log)", "one of 128, 256"."""
    if isinstance(knob, Choices):
        return f"one of {', '.join(str(value) for value in knob.values)}"
    extra = f" in steps of {knob.step}" if knob.step is not None else " (log)" if knob.log else ""
    return f"{knob.low} to {knob.high}{extra}"


def _annotation(name: str) -> Any:
    outer, _, inner = name.partition(".")
    return (Augmentation.model_fields[inner] if inner else TrialConfig.model_fields[outer]).annotation
