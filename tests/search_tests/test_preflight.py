"""What would make every trial fail is refused before Ray starts."""

from pathlib import Path
from typing import Any

import pytest

from search.config.file import read_sweep
from search.config.schema import sweep_config
from search.sweep import run_sweep, with_precision
from tests.search_tests import example
from trainables import device
from trainables.errors import UserError


def sweep(tmp_path: Path, **values: Any) -> Any:
    return sweep_config({"name": "s", "dataset": "d", "experiment": str(tmp_path / "e"), **values})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"trial": {"image_size": 64}}, "inception_v3 needs at least 75 pixels, not 64"),
        ({"trial": {"image_size": 70}, "space": {"backbone": ["mobilenet_v2", "inception_v3"]}}, "inception_v3 needs"),
        ({"space": {"image_size": [75, 60]}}, "not 60"),
        ({"trial": {"weights": "no.h5"}}, "no file 'no.h5'"),
        ({"trial": {"weights": {"densenet121": "no.h5"}}}, "no file 'no.h5'"),
    ],
)
def test_what_no_trial_could_use_is_refused_at_once(tmp_path: Path, values: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        run_sweep(sweep(tmp_path, **values))
    assert not (tmp_path / "e").exists()


def test_weights_files_of_each_backbone_reach_workers_as_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("dataset: d\ntrial: {image_size: 75}\n")
    config = read_sweep(tmp_path / "s.yaml", ["trial.weights.densenet121=w.h5", "trial.weights.inception_v3=random"])
    assert config.trial["weights"] == {"densenet121": str(Path.cwd() / "w.h5"), "inception_v3": "random"}


def test_keys_that_do_not_go_together_are_told_before_ray_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_ray(address: str | None) -> None:
        raise UserError("no Ray here")

    monkeypatch.setattr("search.sweep.ray_session", no_ray)
    config = example.sweep(tmp_path, trial={"epochs": 3}, early_stopping={"grace_epochs": 10})
    with pytest.raises(UserError, match="no Ray here"):
        run_sweep(config)
    said = "warning: early_stopping.grace_epochs: 10 of a trial's 3 epochs, so asha stops none; give fewer than 3"
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("values", "environment", "precision"),
    [
        ({"trial": {"precision": "auto"}}, {}, "bfloat16"),
        ({"trial": {"precision": "auto"}, "address": "10.0.0.1:6379"}, {}, "float32"),
        ({"trial": {"precision": "auto"}}, {"RAY_ADDRESS": "auto"}, "float32"),
        ({"trial": {"precision": "float16"}}, {}, "float16"),
        ({}, {}, None),
    ],
)
def test_precision_auto_is_decided_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
    environment: dict[str, str],
    precision: str | None,
) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: avx512_bf16\n")
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(device, "GPU_DRIVERS", ())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert with_precision(sweep(tmp_path, **values)).trial.get("precision") == precision
