"""What the benchmarks of single trials begin with: their options, a worker, and a trial that starts from the probe."""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """The options that they share; DATASET is what `python -m trainables prepare` made."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--weights", required=True, help="InceptionV3's .weights.h5 without top")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    add_size_and_store(parser)
    return parser


def add_size_and_store(parser: argparse.ArgumentParser) -> None:
    """The two that also those have which take everything else from a sweep."""
    parser.add_argument("--size", type=int, default=139, help="of the photos, in pixels [139]")
    parser.add_argument("--store", type=Path, help="folder for stored features [a temporary one]")


@contextlib.contextmanager
def open_worker(dataset: Path, store: Path | None) -> Iterator[Any]:
    """A `Worker` on all cores of this process; without `store` its features are gone afterwards."""
    from trainables.device import prepare_tensorflow, usable_cores

    prepare_tensorflow()
    from trainables.data.dataset import open_dataset
    from trainables.training.worker import Worker

    with tempfile.TemporaryDirectory(prefix="bench-trials-") as scratch:
        yield Worker(open_dataset(dataset), store or Path(scratch), None, usable_cores())


def trial_of(options: argparse.Namespace, trial: str, **changes: Any) -> Any:
    """The `TrialConfig` of "unfrozen layers,learning rate,dropout", with a head on several depths from the probe."""
    from trainables.config import TrialConfig

    layers, rate, dropout = trial.split(",")
    given = {
        **{"weights": options.weights, "image_size": options.size, "precision": options.precision},
        **{"epochs": options.epochs, "patience": options.epochs, "dense_units": 0, "l2": 0.0},
        **{"head": "depths", "head_start": "probe", "head_learning_rate": 1e-4},
        **{"unfrozen_layers": int(layers), "learning_rate": float(rate), "dropout": float(dropout)},
    }
    return TrialConfig.model_validate(given | changes)
