"""Sweep file: reading it with `key=value` overrides, and writing it."""

import copy
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from search.config.schema import SweepConfig, sweep_config
from search.config.space import DEFAULT_SPACE, Choices
from search.config.storage_url import redact
from search.config.yaml12 import dump_yaml, parse_yaml
from trainables.errors import UserError
from trainables.files.bucket import is_url
from trainables.files.experiment import SWEEP_FILE
from trainables.files.output import write_text
from trainables.files.remote_experiment import working_folder
from trainables.network.backbones import WEIGHT_KINDS

# Keys whose values are names and places: `--set` takes them letter by letter, not as YAML, in which "runs/x #2" is
# runs/x. A mapping of weights by backbone, null and quotes around all of it keep their meaning.
PLACES = {"name", "dataset", "experiment", "mirror", "storage", "store", "address", "trial.weights"}
_YAML_IN_A_PLACE = re.compile(r"null|~||\{.*\}|'.*'|\".*\"", re.DOTALL)


def read_sweep(
    file: Path, overrides: Sequence[str] | None = None, places: Mapping[str, str] | None = None
) -> SweepConfig:
    """Read a sweep file and apply overrides such as `space.learning_rate.high=1e-3`, then `places` as they are.

    `name` defaults to the file's name and `experiment` to runs/NAME; relative paths count from the current folder. An
    experiment at a URL is one in a folder, runs/LAST_PART_OF_THE_URL, with the URL as its `mirror`.

    Raises:
        UserError: no such file, not YAML, an override without `=`, one that another one undoes, or a key or value that
            `sweep_config` refuses.
    """
    values = read_yaml(file)
    for override in overrides or []:
        _apply(values, override)
    _refuse_undone([*(override.partition("=")[0] for override in overrides or []), *(places or {})])
    values |= places or {}
    values.setdefault("name", file.stem)
    values.setdefault("experiment", f"runs/{values['name']}")
    _divide_url(values)
    config = sweep_config(values)
    if config.store and is_url(config.store):
        rule = "only the dataset and the experiment may lie at a URL"
        raise UserError(f"store: must be a folder, not the URL {redact(config.store)}; {rule}")
    # Workers have another current folder, so every path that reaches them must be absolute.
    paths: dict[str, Any] = {
        "dataset": config.dataset if is_url(config.dataset) else _absolute(config.dataset),
        "experiment": _absolute(config.experiment),
        "store": _absolute(config.store) if config.store else None,
        "warm_start": tuple(_absolute(one) if isinstance(one, str) else one.absolute() for one in config.warm_start),
    }
    if "weights" in config.trial:
        paths["trial"] = {**config.trial, "weights": _weights(config.trial["weights"])}
    searched = config.space.get("weights")
    if isinstance(searched, Choices):
        weights = Choices(values=tuple(_weights(str(value)) for value in searched.values))
        paths["space"] = {**config.space, "weights": weights}
    return config.model_copy(update=paths)


def dump_sweep(config: SweepConfig) -> str:
    """Write the resolved sweep as YAML that `read_sweep` reads back to an equal one."""
    return dump_yaml(config.model_dump(mode="json"))


def write_sweep(config: SweepConfig, experiment: Path) -> None:
    """Write an experiment's sweep.yaml in one step: a reader sees the old file or the whole new one."""
    write_text(dump_sweep(config), experiment / SWEEP_FILE)


def _refuse_undone(keys: Sequence[str]) -> None:
    """Refuse a key that a later one, the same or the section that it lies in, sets again."""
    for at, key in enumerate(keys):
        for later in keys[at + 1 :]:
            if key == later:
                raise UserError(f"--set {key}: is given twice, and only one of the values could count")
            if key.startswith(f"{later}."):
                raise UserError(f"--set {key}: would be undone by the later --set {later}; give that one first")


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a sweep file as it is, unchecked.

    Raises:
        UserError: no such file, no UTF-8 text, not YAML, or no mapping.
    """
    try:
        values = parse_yaml(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file} does not exist; search/sweeps/default.yaml is an example") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {redact(_where(error))}") from None
    if not isinstance(values, dict):
        raise UserError(f"{file} must map keys to values; search/sweeps/default.yaml is an example")
    return values


def _where(error: yaml.YAMLError) -> str:
    return " ".join(str(error).replace('in "<unicode string>", ', "in ").split())


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    shown = redact(override)
    if not equals or not key:
        raise UserError(f"--set takes key=value, not {shown!r}")
    *path, last = key.split(".")
    section = values
    for depth, part in enumerate(path):
        if section.get(part) is None:
            # Overriding one bound of a knob of the default space must keep the other bound.
            section[part] = copy.deepcopy(DEFAULT_SPACE) if depth == 0 and part == "space" else {}
        section = section[part]
        if not isinstance(section, dict):
            raise UserError(f"--set {shown}: {'.'.join(path[: depth + 1])} has no keys, it is {redact(repr(section))}")
    if (key in PLACES or key.startswith("trial.weights.")) and not _YAML_IN_A_PLACE.fullmatch(text):
        section[last] = text
        return
    try:
        section[last] = parse_yaml(text)
    except yaml.YAMLError:
        raise UserError(f"--set {shown}: the value is not YAML") from None


def _weights(spec: Any) -> Any:
    """Make a file's path absolute; a mapping names one for each backbone."""
    if isinstance(spec, dict):
        return {backbone: _weights(one) for backbone, one in spec.items()}
    return spec if spec in WEIGHT_KINDS else _absolute(spec)


def _divide_url(values: dict[str, Any]) -> None:
    """Turn an experiment at a URL into the folder that its driver works in, and its mirror."""
    if is_url(values["experiment"]):
        if values.get("mirror") is not None:
            raise UserError("mirror: is for an experiment in a folder; this one is at a URL itself")
        values["mirror"] = values["experiment"]
        values["experiment"] = str(working_folder(values["mirror"]))
    if values.get("mirror") is None:
        return
    if not is_url(values["mirror"]):
        raise UserError(f"mirror: must be a URL such as s3://bucket/first, not {values['mirror']!r}")
    working_folder(values["mirror"])  # Refuses what no experiment can lie at.
    values["mirror"] = values["mirror"].rstrip("/")


def _absolute(path: str) -> str:
    try:
        place = Path(path).expanduser().absolute()
        with suppress(FileNotFoundError, NotADirectoryError):
            place.lstat()  # Which a name that is too long, or holds a zero, refuses.
    except (RuntimeError, OSError, ValueError) as error:
        shown = path if len(path) <= 100 else f"{path[:97]}…"
        raise UserError(f"{shown!r} can be no path here: {getattr(error, 'strerror', None) or error}") from None
    return str(place)
