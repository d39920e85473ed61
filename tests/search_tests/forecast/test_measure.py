from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from search.config.schema import sweep_config
from search.forecast import measure as measure
from search.forecast.forecast import Throughput
from search.forecast.measure import best, divisions, plan_resources
from search.tune.resources import Node
from trainables import device
from trainables.training.speed import Speed, TailSpeed

PHOTOS = {"train": 100, "validation": 20}


def way(concurrent: int, train: float) -> Throughput:
    return Throughput(concurrent, 1, train, 1.0, 1.0, 1)


def config(tmp_path: Path, **resources: Any) -> Any:
    return sweep_config({"name": "s", "dataset": "d", "experiment": str(tmp_path / "e"), "resources": resources})


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Probes of a machine on which each trial trains 100 photos a second per thread, and loses a tenth to sharing."""
    seen: list[tuple[int, int]] = []

    def run(trial: object, plan: Sequence[int], classes: int, concurrent: int, threads: int) -> list[Speed]:
        seen.append((concurrent, threads))
        rate = 100.0 * threads**0.5
        return [Speed({"a": TailSpeed(rate, rate, 8), "b": TailSpeed(rate, rate, 4)}, 50.0, 10**6)] * concurrent

    monkeypatch.setattr(measure, "_run_speed_tests", run)
    return seen


def test_all_cores_are_used_in_every_division() -> None:
    assert divisions(1) == [(1, 1)]
    assert divisions(2) == [(1, 2), (2, 1)]
    assert divisions(6) == [(1, 6), (2, 3), (4, 1), (6, 1)]


def test_more_trials_at_once_must_gain_something() -> None:
    assert best([way(1, 100), way(2, 105)]).concurrent == 1
    assert best([way(1, 100), way(2, 140), way(4, 145)]).concurrent == 2


def test_the_fastest_division_is_taken_and_measured_once(
    tmp_path: Path, probed: list[tuple[int, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        resources, expected = plan_resources(config(tmp_path), [Node(2, 0)], 5, PHOTOS)
        assert (resources.concurrent_trials, resources.threads_per_trial) == (2, 1)
        assert expected is not None
        assert expected.store_bytes > 0
    assert probed == [(1, 2), (2, 1)]
    assert "2 trials at once with 1 thread each: 200 photos/s" in capsys.readouterr().out


def test_what_the_sweep_says_is_kept_and_only_forecast(tmp_path: Path, probed: list[tuple[int, int]]) -> None:
    resources, expected = plan_resources(config(tmp_path, concurrent_trials=1), [Node(4, 0)], 5, PHOTOS)
    assert resources.concurrent_trials == 1
    assert resources.threads_per_trial == "auto"
    assert expected is not None
    assert probed == [(1, 4)]


@pytest.mark.parametrize(
    ("flags", "trial", "said"),
    [
        ("fma avx512_bf16 avx512f", {}, True),
        ("amx_bf16", {}, True),
        ("fma avx512f", {}, False),
        ("avx512_bf16", {"precision": "float32"}, False),
    ],
)
def test_who_has_not_decided_hears_that_the_processor_computes_faster_in_bfloat16(
    tmp_path: Path,
    probed: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: str,
    trial: dict[str, str],
    said: bool,
) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: One\nflags\t\t: {flags}\n")
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    plan_resources(config(tmp_path).model_copy(update={"trial": trial}), [Node(2, 0)], 5, PHOTOS)
    assert ("trial.precision=bfloat16" in capsys.readouterr().out) is said


def test_a_measurement_that_fails_leaves_the_sweep_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> list[Speed]:
        raise RayTaskError("measure", "Traceback", MemoryError("no room"))

    monkeypatch.setattr(measure, "_run_speed_tests", fail)
    wanted = config(tmp_path)
    assert plan_resources(wanted, [Node(2, 0)], 5, PHOTOS) == (wanted.resources, None)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("measuring    how fast trials run here, up to 2 ways")
    assert last == "measured     nothing, and so no forecast: MemoryError: no room"
    assert not (tmp_path / "store" / "measured.json").exists()


def test_nothing_is_measured_on_gpus_or_where_it_is_not_wanted(tmp_path: Path, probed: list[tuple[int, int]]) -> None:
    for resources, node in (({}, Node(8, 1)), ({"measure": False}, Node(8, 0))):
        wanted = config(tmp_path, **resources)
        assert plan_resources(wanted, [node], 5, PHOTOS) == (wanted.resources, None)
    assert probed == []
