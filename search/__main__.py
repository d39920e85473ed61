"""Run a search from the command line.

A sweep of 20 trials over learning rate, dropout, dense units and unfrozen layers:

    python -m search run search/sweeps/default.yaml --set dataset=data/prepared

The same, smaller, on a machine without a GPU, into a folder of one's own:

    python -m search run search/sweeps/default.yaml --set dataset=data/prepared --set trials=8 \\
        --set trial.image_size=75 --set trial.epochs=3 --experiment runs/smoke

Go on with a sweep that was interrupted, or ask one that has ended for more trials:

    python -m search resume runs/smoke
    python -m search resume runs/smoke --set trials=40

Keep the records in a bucket as they come, and go on from there on any machine:

    python -m search run search/sweeps/default.yaml --experiment s3://bucket/first --set dataset=s3://bucket/dataset
    python -m search resume s3://bucket/first
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.errors import run_command
from trainables.files.bucket import folder_or_url

if TYPE_CHECKING:
    from trainables.handoff import Handoff

_KEYS = """\
keys of a sweep file (defaults in brackets; every key can be given as --set key=value, dotted where nested):
  name            the study's name [the file's name]
  dataset         folder or URL (s3://bucket/dataset) that `python -m trainables prepare` wrote
  experiment      folder for the records, new or empty, or a URL (s3://bucket/first): short for a folder, runs/first,
                  and the URL as its mirror [runs/NAME]
  mirror          URL that the records go to as they come, and where trials keep their checkpoints [none]
  metric, mode    what is optimised [val_macro_f1, max]
  objectives      [METRIC, COST] in their place: the metric, and what a model costs, which is to be low: model_mb (MB of
                  all weights, float32) or latency_ms (milliseconds for one photo); not with gp [the metric alone]
  trials, seed    how many trials, and what all chance follows from [20, 0]
  space           knobs to search: a list of choices, or {low, high, log, step, points} [learning_rate 1e-5 to 1e-2
                  (log), dropout 0 to 0.6, dense_units 128 256 512, unfrozen_layers 0 31 62]; any other knob of a
                  trial may be searched too, such as backbone, optimizer, label_smoothing, augmentation.rotation
  trial           knobs that are fixed, such as image_size, epochs, batch_size, weights, patience [their defaults]
  sampler         tpe (multivariate), random, grid (ranges then need `points`), or gp [tpe]
  startup_trials  random trials before tpe or gp begins to model [5]
  points          configurations, or parts of them, to try first: a list of {knob: value} [none]
  warm_start      experiments whose trials the sampler learns from (same metric), and studies of Optuna's that anybody
                  made: [runs/first, {storage: old.db or postgresql://…, study: NAME}]; they count for nothing else
                  [none]
  budget          {epochs, hours, gpu_hours, plateau: {trials, min_improvement}}: ends the sweep, whichever is reached
                  first, with the best so far handed over [no limit]
  early_stopping  {kind: asha, hyperband, median or none; grace_epochs, reduction_factor, brackets, min_results}
                  [asha, 1, 3, 1, 3]
  resources       {concurrent_trials, threads_per_trial, gpus_per_trial (may be a fraction), measure: without GPUs,
                  measure first how many trials at once are fastest, and forecast the cost} [all auto, true]
  max_failures    further tries of a trial whose worker was lost [1]
  checkpoint_every  epochs between checkpoints, from which such a try or a resume goes on; 0: none [1]
  keep_checkpoints  of how many of the best ended trials they stay on the disk [1]
  checkpoint_gb   the most disk all checkpoints may take; the worst ended trials' go first [no limit]
  storage         postgresql://USER@HOST/DATABASE for the study; the password from PGPASSWORD or ~/.pgpass, or in the
                  URL, which is then written nowhere [SQLite file in the experiment]
  store, store_gb where activations computed once per node lie, and the disk they may take [beside the experiment]
  address         a running Ray cluster, also from RAY_ADDRESS; local: none [Ray is started here]
"""

_RESUME = """\
Go on with a sweep: after Ctrl-C, a crash, or a kill of its driver at any moment; or after its end, with more trials.
One at a URL goes on on any machine: its records are brought to runs/LAST_PART_OF_THE_URL first.

No trial that ended is run again. One that was running goes on from its newest whole checkpoint, as the same trial.
What may be changed with --set: trials, trial.epochs (more), resources, max_failures, checkpoint_every,
keep_checkpoints, checkpoint_gb, store, store_gb, address; the dataset's place, if it is the same dataset; and the
password of the storage. More epochs are for new trials: one that has begun keeps its own number, and its schedule.
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run the sub-command; return the exit status."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: int(options.command(options)))


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m search", description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", help="run a sweep to its end", description="Run a sweep to its end.", epilog=_KEYS, formatter_class=form
    )
    run.add_argument("sweep", type=Path, metavar="SWEEP.yaml", help="the sweep file")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key (repeatable)")
    run.add_argument("--experiment", metavar="PLACE", help="short for --set experiment=PLACE, a folder or a URL")
    run.add_argument("--join", action="store_true", help="work on a study in `storage` beside the driver that began it")
    run.set_defaults(command=_run)
    resume = commands.add_parser(
        "resume",
        help="go on with a sweep that was interrupted, or that is to have more trials",
        description=_RESUME,
        formatter_class=form,
    )
    resume.add_argument("experiment", type=folder_or_url, metavar="EXPERIMENT", help="the sweep's folder or URL")
    resume.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key (repeatable)")
    resume.set_defaults(command=_resume)
    return parser


def _run(options: argparse.Namespace) -> int:
    # Imported here, so that --help answers at once and a wrong key is named before Ray is loaded.
    from search.config.file import read_sweep

    overrides = [*options.set, *([f"experiment={options.experiment}"] if options.experiment else [])]
    config = read_sweep(options.sweep, overrides)

    from search.sweep import run_sweep

    _say(run_sweep(config, join=options.join), config.experiment, config.mirror)
    return 0


def _resume(options: argparse.Namespace) -> int:
    from search.config.file import read_sweep
    from search.resume import resume_sweep
    from trainables.files.experiment import SWEEP_FILE
    from trainables.files.remote_experiment import working_folder

    place = options.experiment
    best, went_on = resume_sweep(place, options.set)
    if not went_on:
        print(f"{place} has ended and nothing is left to do; --set trials=N asks for more than {SWEEP_FILE}")
    folder = place.absolute() if isinstance(place, Path) else working_folder(place)
    _say(best, str(folder), read_sweep(folder / SWEEP_FILE).mirror)
    return 0


def _say(best: Handoff, experiment: str, mirror: str | None) -> None:
    from search.forecast.forecast import saved_line
    from search.results import read_summary

    summary = read_summary(Path(experiment))
    print(f"ended because {summary['ended_because']}")
    print(f"best {best.metric} {best.score:.4f}: trial {best.trial}, epoch {best.epoch}")
    if best.weights.get("warning"):
        print(f"warning: {best.weights['warning']}")
    print(saved_line(summary))
    if best.costs:
        _say_front(summary["front"], best, experiment)
    print(f"experiment   {experiment}")
    if mirror is not None:
        print(f"mirror       {mirror}")
    print(f"dashboards   python -m analysis dashboard {experiment}")
    print(f"next         python -m trainables retrain {mirror or experiment}/best.json")


def _say_front(members: list[dict[str, Any]], best: Handoff, experiment: str) -> None:
    """Print the trials that no other beats at a cost no higher."""
    from trainables.files.experiment import front_file

    (cost,) = best.costs
    print(f"front        {len(members)} of the trials: no other is better and costs no more")
    print(f"             {best.metric:>12}  {cost:>10}")
    for member in members:
        file = front_file(Path(experiment), member["trial"])
        print(f"             {member['value']:12.4f}  {member['cost']:10.2f}  {file}")


if __name__ == "__main__":
    sys.exit(main())
