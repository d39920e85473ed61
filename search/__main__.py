"""Run a search from the command line.

A sweep of 20 trials over learning rate, dropout, dense units and unfrozen layers:

    python -m search run search/sweeps/default.yaml --set dataset=data/prepared

The same, smaller, on a machine without a GPU, into a folder of one's own:

    python -m search run search/sweeps/default.yaml --set dataset=data/prepared --set trials=8 \\
        --set trial.image_size=75 --set trial.epochs=3 --experiment runs/smoke
"""

import argparse
import sys
from pathlib import Path

from trainables.errors import run_command

_KEYS = """\
keys of a sweep file (defaults in brackets; every key can be given as --set key=value, dotted where nested):
  name            the study's name [the file's name]
  dataset         folder made by `python -m trainables prepare`
  experiment      folder for the records, new or empty [runs/NAME]
  metric, mode    what is optimised [val_macro_f1, max]
  trials, seed    how many trials, and what all chance follows from [20, 0]
  space           knobs to search: a list of choices, or {low, high, log, step, points} [learning_rate 1e-5 to 1e-2
                  (log), dropout 0 to 0.6, dense_units 128 256 512, unfrozen_layers 0 31 62]; any other knob of a
                  trial may be searched too, such as backbone, optimizer, label_smoothing, augmentation.rotation
  trial           knobs that are fixed, such as image_size, epochs, batch_size, weights, patience [their defaults]
  sampler         tpe (multivariate), random, grid (ranges then need `points`), or gp [tpe]
  startup_trials  random trials before tpe or gp begins to model [5]
  points          configurations, or parts of them, to try first: a list of {knob: value} [none]
  warm_start      experiments whose trials the sampler learns from (same metric); they count for nothing else [none]
  budget          {epochs, hours, gpu_hours, plateau: {trials, min_improvement}}: ends the sweep, whichever is reached
                  first, with the best so far handed over [no limit]
  early_stopping  {kind: asha, hyperband, median or none; grace_epochs, reduction_factor, brackets, min_results}
                  [asha, 1, 3, 1, 3]
  resources       {concurrent_trials, threads_per_trial, gpus_per_trial (may be a fraction)} [all auto]
  max_failures    further tries of a trial whose worker was lost [1]
  checkpoint_every  epochs between checkpoints for such a try; 0: none [1]
  keep_checkpoints  of how many of the best ended trials they stay on the disk [1]
  store, store_gb where activations computed once per node lie, and the disk they may take [beside the experiment]
  address         a running Ray cluster, also from RAY_ADDRESS; local: none [Ray is started here]
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run the sub-command; return the exit status."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m search", description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", help="run a sweep to its end", description="Run a sweep to its end.", epilog=_KEYS, formatter_class=form
    )
    run.add_argument("sweep", type=Path, metavar="SWEEP.yaml", help="the sweep file")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key (repeatable)")
    run.add_argument("--experiment", metavar="DIR", help="short for --set experiment=DIR")
    return parser


def _run(options: argparse.Namespace) -> int:
    # Imported here, so that --help answers at once and a wrong key is named before Ray is loaded.
    from search.sweep_file import read_sweep

    overrides = [*options.set, *([f"experiment={options.experiment}"] if options.experiment else [])]
    config = read_sweep(options.sweep, overrides)

    from search.outcome import read_ending
    from search.sweep import run_sweep

    best = run_sweep(config)
    print(f"ended because {read_ending(Path(config.experiment))}")
    print(f"best {best.metric} {best.score:.4f}: trial {best.trial}, epoch {best.epoch}")
    if best.weights.get("warning"):
        print(f"warning: {best.weights['warning']}")
    print(f"experiment   {config.experiment}")
    print(f"TensorBoard  tensorboard --logdir {config.experiment}/tensorboard")
    print(f"next         python -m trainables retrain {config.experiment}/best.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
