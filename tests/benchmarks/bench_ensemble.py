"""What an ensemble behind one cut gains over one training, what the mean of weights would, and what it costs.

    python -m tests.benchmarks.bench_ensemble train runs/first/best.json runs/first/final_5 --members 5 --views 3
    python -m tests.benchmarks.bench_ensemble time --weights InceptionV3_notop.weights.h5 --sizes 139 299

`train` runs the final stage with `--ensemble`, and then prints for the same members, on validation and test: each
alone, what selection took, the mean of all, and one network with the mean of their weights (a soup). Test is read in
each row: not for a choice, but to see whether a choice by validation holds. `time` compares predictions of five
members with those of one, in turns: heads alone, and behind 31 trained layers.
"""

import argparse
import time
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train")
    train.add_argument("best", type=Path)
    train.add_argument("out", type=Path)
    train.add_argument("--members", type=int, default=5)
    train.add_argument("--views", type=int, default=3)
    train.add_argument("--threshold", type=float, default=0.0, help="as of `retrain` [0: one training]")
    train.add_argument("--store", type=Path)
    train.set_defaults(run=compare)
    timed = commands.add_parser("time")
    timed.add_argument("--weights", default="random")
    timed.add_argument("--sizes", type=int, nargs="+", default=[139])
    timed.add_argument("--rounds", type=int, default=7)
    timed.set_defaults(run=prediction_times)
    options = parser.parse_args()
    from trainables.device import prepare_tensorflow

    prepare_tensorflow()
    options.run(options)


def compare(options: argparse.Namespace) -> None:
    """Run the final stage, and print its rows and those of other ways to use its members."""
    import numpy as np

    from trainables.files.experiment import experiment_of
    from trainables.final import retrain as stage
    from trainables.final.ensemble import choose, evaluate_together, joined
    from trainables.final.options import FinalOptions
    from trainables.handoff import read_handoff

    kept: dict[str, Any] = {}
    original, started = stage.train_ensemble, time.monotonic()

    def remember(worker: Any, *arguments: Any) -> Any:
        begun = time.monotonic()
        kept.update(worker=worker, found=original(worker, *arguments))
        print(f"first training after {begun - started:.0f} s, the others in {time.monotonic() - begun:.0f} s more")
        return kept["found"]

    given = FinalOptions(
        ensemble=options.members,
        views=options.views,
        store=options.store,
        threshold=options.threshold,
        hand_over="trial",
    )

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {line}", flush=True)

    with patch.object(stage, "train_ensemble", remember):
        stage.retrain(read_handoff(options.best), options.out, given, say, experiment_of(options.best))
    say("written")
    worker, members = kept["worker"], kept["found"].members
    run, config = members[0].run, members[0].run.config
    parts = [worker.part(split, config) for split in ("validation", "test")]
    each = [[evaluate_together(run, part, [(member.state, 1.0)]) for member in members] for part in parts]

    def row(name: str, evaluations: list[Any]) -> None:
        words = (f"{100 * found.metrics.macro_f1:5.1f} ({found.metrics.cross_entropy:.3f})" for found in evaluations)
        print(f"{name:44}{'   '.join(words)}", flush=True)

    def together(rows: tuple[int, ...], picks: tuple[int, ...]) -> list[Any]:
        return [
            joined(part.labels, [found[place] for place in rows], picks)
            for part, found in zip(parts, each, strict=True)
        ]

    everyone = tuple(range(len(members)))
    for place in everyone:
        row(f"seed {members[place].run.config.seed}", together((place,), (1,)))
    row(f"selection, {kept['found'].picks}", together(everyone, kept["found"].picks))
    row("the mean of all", together(everyone, (1,) * len(members)))
    soup = {name: np.mean([member.state[name] for member in members], axis=0) for name in members[0].state}
    row("one network with the mean of weights", [evaluate_together(run, part, [(soup, 1.0)]) for part in parts])
    for size in range(1, len(members)):
        subsets = list(combinations(everyone, size))
        chosen = [
            together(rows, choose(parts[0].labels, [each[0][place].probabilities for place in rows]))
            for rows in subsets
        ]
        plain = [together(rows, (1,) * size) for rows in subsets]
        for name, found in (("selection", chosen), ("the mean", plain)):
            scores = np.mean([[part.metrics[1:] for part in parts_of] for parts_of in found], axis=0)
            words = "   ".join(f"{100 * macro_f1:5.1f} ({entropy:.3f})" for entropy, _, macro_f1 in scores)
            print(f"{f'{name} of {size}, on average over {len(subsets)}':44}{words}", flush=True)


def prediction_times(options: argparse.Namespace) -> None:
    """Print photos per second of one model and of five members, and the ratio of their times."""
    import numpy as np

    from trainables.config import TrialConfig
    from trainables.inference.ensemble_model import ensemble_model, member_of
    from trainables.inference.keras_model import whole_model
    from trainables.network.backbones import build_backbone, cut_backbone, resolve_weights
    from trainables.network.tail import HeadStart, Tail, TailBackbone

    for size in options.sizes:
        weights = resolve_weights("inception_v3", options.weights)
        base = build_backbone("inception_v3", size, weights, 0)
        photos = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8)
        for layers in (0, 31):
            config = TrialConfig(image_size=size, unfrozen_layers=layers, weights=options.weights)
            cut = cut_backbone(base, config, layers)
            tail, members = Tail(TailBackbone(base, cut, 51, "adam"), config.dense_units), []
            for seed in range(5):
                tail.reset(seed, HeadStart())
                members.append(member_of(tail, 0.2))
            models = {"one": whole_model(base, tail, config), "five": ensemble_model(base, cut, config, members)}
            seconds: dict[str, list[float]] = {name: [] for name in models}
            for _ in range(options.rounds + 1):
                for name, model in models.items():
                    begun = time.perf_counter()
                    model.predict_on_batch(photos)
                    seconds[name].append(time.perf_counter() - begun)
            one, five = (min(seconds[name][1:]) for name in models)
            print(
                f"{size} px, {layers:2} layers trained: one model {BATCH / one:.1f} photos a second, five members "
                f"{BATCH / five:.1f}: {five / one:.2f} times the time",
                flush=True,
            )


if __name__ == "__main__":
    main()
