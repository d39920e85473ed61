"""How the guarantee of a probe holds over ten splits of the real photos: sets, reliability, unknown photos.

    python -m tests.benchmarks.bench_sets DATASET --data ../shared/data --weights InceptionV3_notop.weights.h5
    python -m tests.benchmarks.bench_sets DATASET --data ../shared/data --weights FILE --features features.npz

DATASET is what `prepare` made of DATA/rare_families with families of at least 20 photos. The pooled outputs of mixed8 to
mixed10 at 299 px, float32, are computed once for all photos (three minutes of two idle cores; `--features` keeps them),
for the 120 photos of DATA/planted_irrelevant, and for the photos of the families that are too small for the dataset.
Then the photos are split anew for each seed, as `prepare` does; a logistic regression (balanced, C 0.056, as the probe
chooses it) is fitted on train, its guarantee on validation, and fitted again on train and validation, as the probe is
handed over. All figures are of test.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.data.images import decode_resized
from trainables.data.split import split_groups
from trainables.guarantee import FALSE_ALARMS, RARE, Guarantee, evidence, fit_guarantee, measure
from trainables.probe.fits import Linear, logistic_path
from trainables.probe.solution import standardisation

SIZE, DEPTHS = 299, ("mixed8", "mixed9", "mixed10")
STRENGTHS = (30 / 5376, 300 / 5376)
COMPONENTS = 256

Array = npt.NDArray[Any]


def features(options: argparse.Namespace) -> dict[str, Array]:
    """Features float32 [n, 5376] of the dataset's photos, the planted and the other families'; labels and groups."""
    from trainables.config import TrialConfig
    from trainables.data.dataset import SPLITS, open_dataset
    from trainables.device import prepare_tensorflow, usable_cores
    from trainables.network.backbones import scale_pixels
    from trainables.network.head import pooled_backbone
    from trainables.training.worker import Worker

    prepare_tensorflow(None)
    dataset = open_dataset(options.dataset)
    worker = Worker(dataset, options.store, None, usable_cores())
    config = TrialConfig(weights=options.weights, image_size=SIZE, precision="float32")
    known = np.concatenate([worker.pooled(split, config, DEPTHS) for split in SPLITS])
    photos = [photo for split in SPLITS for photo in dataset.photos(split)]
    model = pooled_backbone(worker.base(config), DEPTHS)

    def of_files(files: Sequence[Path]) -> Array:
        parts = []
        for first in range(0, len(files), 32):
            pixels = np.stack([decode_resized(file.read_bytes(), SIZE) for file in files[first : first + 32]])
            parts.append(np.asarray(model(scale_pixels("inception_v3", pixels), training=False)))
        return np.concatenate(parts)

    others = [folder for folder in (options.data / "rare_families").iterdir() if folder.is_dir()]
    small = [file for folder in others if folder.name not in dataset.class_names for file in sorted(folder.iterdir())]
    return {
        "known": known,
        "labels": np.array([photo.label for photo in photos]),
        "groups": np.array([photo.group for photo in photos]),
        "planted": of_files(sorted((options.data / "planted_irrelevant").glob("*.jpg"))),
        "small": of_files(small),
    }
