"""Photos a second through the frozen part, with batch normalisation folded into the convolutions and without.

    python -m tests.benchmarks.bench_folded --size 299 --photos 128 --rounds 3

The four ways (float32 and bfloat16, plain and folded) take turns in each round; the median of the rounds counts.
Weights are random, which changes no speed. The output is the global averages of all depths, as the probe reads them.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=299, help="of the pictures, in pixels [299]")
    parser.add_argument("--photos", type=int, default=128, help="in each round [128]")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    from trainables.device import prepare_tensorflow

    tf = prepare_tensorflow()
    import keras
    import numpy as np

    from trainables.activations.features import COMPUTE_BATCH
    from trainables.network.backbones import Weights, build_backbone
    from trainables.network.cut import block_ends, pooled_at, tensors_at
    from trainables.network.fast_layers import copy_part

    base = build_backbone("inception_v3", options.size, Weights("random", "", "random"), 0)
    cut = "+".join(map(pooled_at, block_ends(base)))
    ways = {}
    for precision in ("float32", "bfloat16"):
        for folded in (False, True):
            part = copy_part(base, precision, folded=folded)
            model = keras.Model(part.inputs, tensors_at(part, cut))
            ways[precision, folded] = tf.function(lambda values, model=model: model(values, training=False))
    pictures = np.random.default_rng(0).uniform(-1, 1, (COMPUTE_BATCH, options.size, options.size, 3)).astype("float32")
    batches = max(1, options.photos // COMPUTE_BATCH)
    rates: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
    for way in ways.values():
        way(pictures)  # Traced and warm before any is timed.
    for _ in range(options.rounds):
        for name, way in ways.items():
            started = time.monotonic()
            for _ in range(batches):
                way(pictures)[-1].numpy()
            rates[name].append(batches * COMPUTE_BATCH / (time.monotonic() - started))
    for (precision, folded), seen in rates.items():
        print(f"{precision:10}{'folded' if folded else 'plain':8}{statistics.median(seen):7.1f} photos/s")


if __name__ == "__main__":
    main()
