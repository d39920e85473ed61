"""Starting weights of a sweep's backbones, asked of a worker before anything is computed."""

from collections.abc import Iterable
from typing import Any

import ray
from ray.exceptions import RayError

from search.tune.failure import describe
from trainables.consent import warn_and_ask
from trainables.errors import UserError
from trainables.network.backbone_table import BACKBONES

PATIENCE_SECONDS = 300.0  # for an idle node, and for the weights' download
REMEDY = "give a file (trial.weights=PATH), or trial.weights=random if that is meant"


def check_starting_weights(wanted: Iterable[tuple[str, str]], yes: bool) -> None:
    """Find ImageNet weights where trials run; where there are none, warn and ask before the sweep computes anything.

    Args:
        wanted: backbones and what their weights are to be: auto, imagenet, random or a file.
        yes: go on without them, without a question.

    Raises:
        UserError: imagenet is asked for and missing, or going on without them is not wanted.
    """
    pairs = dict.fromkeys(wanted)
    asked = [name for name, spec in pairs if spec == "random" and BACKBONES[name].application]
    if asked:
        print(f"weights      random, as asked, for {', '.join(asked)}: scores will be far lower", flush=True)
    unknown = [pair for pair in pairs if pair[1] in ("auto", "imagenet") and BACKBONES[pair[0]].application]
    if not unknown:
        return
    print(f"weights      looking for ImageNet weights of {', '.join(name for name, _ in unknown)}", flush=True)
    missing = [warning for warning in _asked_of_a_worker(unknown) if warning]
    if missing:
        warn_and_ask("; ".join(missing), yes, REMEDY)


def _asked_of_a_worker(wanted: list[tuple[str, str]]) -> list[str | None]:
    """What is wrong with each where trials run; nothing where no worker could be asked: the trials will tell."""
    try:
        task = ray.remote(num_cpus=1, max_calls=1)(_warnings)
        found: list[str | None] = ray.get(task.remote(wanted), timeout=PATIENCE_SECONDS)
    except RayError as error:
        failure = describe(error)
        if failure.ends_sweep:
            raise UserError(failure.reason) from None
        print(f"weights      could not be looked for: {failure.reason}", flush=True)
        return []
    return found


def _warnings(wanted: list[tuple[str, str]]) -> list[str | None]:
    """What is wrong with each, on the machine that this runs on."""
    from trainables.device import prepare_tensorflow
    from trainables.network.backbones import resolve_weights

    prepare_tensorflow(gpu=False)
    found: list[Any] = [resolve_weights(name, spec).warning for name, spec in wanted]
    return found
