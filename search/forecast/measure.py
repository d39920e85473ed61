"""Measurement of how many trials a CPU-only machine runs best.

Two trials with a thread each do more than one with two threads where a step's products are too small to be shared, and
less where memory is the limit: which it is depends on the backbone, the picture's size and the machine. So a few
processes train made-up batches at once, as many as the trials would be, and the fastest division wins. It takes about
half a minute for each division, once for a configuration and machine: measured.json in the store's folder remembers it,
and may be deleted to measure again.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any

import psutil
import ray
from ray.exceptions import RayError

from search.config.schema import Resources, SweepConfig
from search.config.space import Choices
from search.config.trial_plan import Plan
from search.forecast.forecast import Forecast, Throughput, forecast, forecast_lines
from search.tune.failure import describe
from search.tune.resources import Node, share
from trainables.config import TrialConfig
from trainables.device import cpuinfo, native_bfloat16
from trainables.errors import UserError
from trainables.files.output import write_json
from trainables.files.record import read_record
from trainables.versions import versions

# What finished trials teach the sampler and the rungs is worth something: more trials at once must gain this much.
WORTH_ANOTHER_TRIAL = 1.20
MEMORY_SHARE = 0.7

Way = tuple[int, int]


def plan_resources(
    config: SweepConfig, nodes: Sequence[Node], classes: int, photos: Mapping[str, int]
) -> tuple[Resources, Forecast | None]:
    """Fill in what `resources` leaves open, and print beforehand what the sweep will cost.

    Where nothing is measured (`resources.measure` is false, there are GPUs, or it fails) `resources` stays as it is,
    and there is no forecast.
    """
    wanted = config.resources
    if not wanted.measure or any(node.gpus for node in nodes):
        return wanted, None
    node = min(nodes, key=lambda node: node.cpus)
    free = wanted.concurrent_trials == "auto" and wanted.threads_per_trial == "auto"
    fixed = share(wanted, [node] * len(nodes))
    ways = divisions(node.cpus) if free else [(-(-fixed.concurrent // len(nodes)), fixed.threads)]
    try:
        measured = _measured(config, node, ways, classes)
    except RayError as error:
        # The trials may still run, and if not they will say why.
        print(f"measured     nothing, and so no forecast: {describe(error).reason}", flush=True)
        return wanted, None
    expected = forecast(config, measured, len(nodes), photos)
    print("\n".join(forecast_lines(expected, config, measured)), flush=True)
    undecided = "precision" not in config.trial and "precision" not in config.space
    if undecided and native_bfloat16():
        gain = "with trial.precision=bfloat16 a sweep of InceptionV3 took 0.7 of the time (see docs/performance.md)"
        print(f"faster       this processor has bfloat16: {gain}", flush=True)
    if not free:
        return wanted, expected
    chosen = {"concurrent_trials": measured.concurrent * len(nodes), "threads_per_trial": measured.threads}
    return wanted.model_copy(update=chosen), expected


def best(measured: Sequence[Throughput]) -> Throughput:
    """Choose the fastest, unless one with fewer trials at once is nearly as fast."""
    fastest = max(each.train for each in measured)
    good = [each for each in measured if each.train * WORTH_ANOTHER_TRIAL >= fastest]
    return min(good, key=lambda each: each.concurrent)


def divisions(cpus: int) -> list[Way]:
    """The ways tried on `cpus` cores, as (trials at once, threads of each): 1, 2, 4 … trials, and one per core."""
    powers = [2**power for power in range(cpus.bit_length()) if 2**power < cpus]
    return [(trials, cpus // trials) for trials in (*powers, cpus)]


def _measured(config: SweepConfig, node: Node, ways: Sequence[Way], classes: int) -> Throughput:
    """The best way, from the store's folder if it was measured there before."""
    # The fixed knobs of the sweep; of searched ones that change the speed, the first choice.
    chosen = {
        name: knob.values[0]
        for name, knob in config.space.items()
        if isinstance(knob, Choices) and name in ("backbone", "image_size", "batch_size", "optimizer", "precision")
    }
    # The weights' file need not be at hand, and the values do not change the speed.
    trial = TrialConfig.model_validate({**config.trial, **chosen, "weights": "random"})
    plan = Plan(config, 1)
    cache = plan.store / "measured.json"
    unfrozen = plan.unfrozen_layers()
    facts = [trial.model_dump(mode="json"), unfrozen, classes, node.cpus, ways, cpuinfo("model name"), versions()]
    key = json.dumps(facts, sort_keys=True)
    known: dict[str, dict[str, Any]] = {}
    with suppress(UserError):  # Missing, or damaged: it is measured again.
        known = read_record(cache, dict[str, dict[str, Any]], "")
    if known.get(key, {}).keys() != {field.name for field in fields(Throughput)}:
        tries = "one way" if len(ways) == 1 else f"up to {len(ways)} ways"
        print(f"measuring    how fast trials run here, {tries} of half a minute each; remembered", flush=True)
        known[key] = asdict(best(_measure(trial, unfrozen, classes, ways)))
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_json(known, cache)
    return Throughput(**known[key])


def _measure(trial: TrialConfig, plan: Sequence[int], classes: int, ways: Sequence[Way]) -> list[Throughput]:
    measured: list[Throughput] = []
    for concurrent, threads in ways:
        speeds = _run_speed_tests(trial, plan, classes, concurrent, threads)
        measured.append(_together(speeds, concurrent, threads))
        resident = max(speed.resident_bytes for speed in speeds)
        if 2 * concurrent * resident > MEMORY_SHARE * psutil.virtual_memory().total:
            break
        if len(measured) > 1 and measured[-1].train < measured[-2].train:
            break  # Finer divisions only get slower from here.
    return measured


def _run_speed_tests(trial: TrialConfig, plan: Sequence[int], classes: int, concurrent: int, threads: int) -> list[Any]:
    from trainables.training.speed import SpeedTest

    actor = ray.remote(num_cpus=threads)(SpeedTest)
    tests = [actor.remote(trial, plan, classes, threads) for _ in range(concurrent)]
    try:
        ray.get([test.measure.remote(0.0) for test in tests])  # All are ready before any is timed.
        return list(ray.get([test.measure.remote() for test in tests]))
    finally:
        for test in tests:
            ray.kill(test)


def _together(speeds: Sequence[Any], concurrent: int, threads: int) -> Throughput:
    """Rates of processes add up; rates of tails, which take turns in a sweep, average as times do."""

    def average(field: str) -> float:
        totals = [float(sum(getattr(speed.tails[cut], field) for speed in speeds)) for cut in speeds[0].tails]
        return len(totals) / sum(1 / total for total in totals)

    size = sum(tail.bytes_per_photo for tail in speeds[0].tails.values())
    prefix = sum(speed.prefix for speed in speeds)
    return Throughput(concurrent, threads, average("train"), average("evaluate"), prefix, size)
