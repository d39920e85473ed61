"""Run a search from the command line.

A sweep of 20 trials over learning rate, dropout, dense units and unfrozen layers:

    python -m search run search/sweeps/default.yaml --set dataset=data/prepared

The same, smaller, on a machine without a GPU, into a folder of one's own:

    python -m search run search/sweeps/default.yaml --set dataset=data/prepared --set trials=8 \\
        --set trial.image_size=75 --set trial.epochs=3 --experiment runs/smoke

Resume a sweep that was interrupted, or ask one that has ended for more trials:

    python -m search resume runs/smoke
    python -m search resume runs/smoke --set trials=40

Keep the records in a bucket as they come, and go on from there on any machine:

    python -m search run search/sweeps/default.yaml --experiment s3://bucket/first --set dataset=s3://bucket/dataset
    python -m search resume s3://bucket/first
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.errors import run_command
from trainables.files.bucket import folder_or_url

if TYPE_CHECKING:
    from trainables.handoff import Confirmation, Handoff

_RESUME = """\
Resume a sweep after Ctrl-C, a crash, or a kill of its driver at any moment; or after its end, with more trials.
One at a URL can be resumed on any machine: its records are brought to runs/LAST_PART_OF_THE_URL first.

No trial that ended is run again. One that was running goes on from its newest whole checkpoint, as the same trial.
What may be changed with --set: trials, trial.epochs (more), budget, probe, confirm, resources, max_failures,
checkpoint_every, keep_checkpoints, checkpoint_gb, store, store_gb, address; the dataset's place, if it is the same
dataset; and the password of the storage. More epochs are for new trials: one that has begun keeps its own number, and
its schedule.
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run the sub-command; return the exit status."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: int(options.command(options)))


class _HelpWithKeys(argparse.Action):
    """--help that describes the keys of a sweep file too, and alone loads their models."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from search.config.keys import keys_help

        parser.epilog = keys_help()
        parser.print_help()
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    form: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser("python -m search", description=__doc__, **form)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    about = "run a sweep to its end"
    run = commands.add_parser("run", help=about, description=f"{about.capitalize()}.", add_help=False, **form)
    run.add_argument("-h", "--help", action=_HelpWithKeys, nargs=0, help="show this help message and exit")
    run.add_argument("sweep", type=Path, metavar="SWEEP.yaml", help="the sweep file")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key (repeatable)")
    run.add_argument("--experiment", metavar="PLACE", help="short for --set experiment=PLACE, a folder or a URL")
    run.add_argument("--join", action="store_true", help="work on a study in `storage` beside the driver that began it")
    text = "go on from random weights where ImageNet's are neither here nor can be downloaded, without a question"
    run.add_argument("--yes", action="store_true", help=text)
    run.set_defaults(command=_run)
    about = "go on with a sweep that was interrupted, or that is to have more trials"
    resume = commands.add_parser("resume", help=about, description=_RESUME, **form)
    resume.add_argument("experiment", type=folder_or_url, metavar="EXPERIMENT", help="the sweep's folder or URL")
    resume.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key (repeatable)")
    resume.set_defaults(command=_resume)
    return parser


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    # Imported here, so that --help answers at once and a wrong key is named before Ray is loaded.
    from search.config.file import read_sweep

    config = read_sweep(options.sweep, options.set, {"experiment": options.experiment} if options.experiment else {})

    from search.sweep import run_sweep

    best = run_sweep(config, join=options.join, yes=options.yes, started=started)
    _say(best, config.experiment, config.mirror)
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


def _confirmed(confirmation: Confirmation, mode: str) -> str:
    """The line that says which trial is handed over, and what the first choice's own value was worth."""
    row, runs = confirmation.row, len(confirmation.row.values)
    judged = f"judged by {confirmation.folds} folds" if confirmation.folds > 1 else "with further seeds"
    within = "" if confirmation.half_width is None else f" ± {confirmation.half_width:.4f}"
    mean = f"mean {row.mean():.4f}{within} of {runs} {judged}"
    line = f"confirmed    trial {row.trial} of the best {len(confirmation.rows)}: {mean}"
    flattered = confirmation.flattered(mode)
    if flattered is None or confirmation.folds > 1:
        return line
    word = "above" if (flattered > 0) == (mode == "max") else "below"
    first = confirmation.rows[0]
    return f"{line}; trial {first.trial}, the first choice, had been {abs(flattered):.4f} {word} its own mean"


def _say(best: Handoff, experiment: str, mirror: str | None) -> None:
    from search.forecast.forecast import saved_line
    from search.results import read_summary
    from trainables.files.experiment import front_file

    summary = read_summary(Path(experiment))
    print(f"ended because {summary['ended_because']}")
    print(f"best {best.metric} {best.score:.4f}: trial {best.trial}, epoch {best.epoch}")
    if best.probe and (value := best.probe.value(best.metric)) is not None:
        better = best.score > value if best.mode == "max" else best.score < value
        said = f"beats it by {abs(best.score - value):.4f}" if better else "does not beat it"
        print(f"probe {best.metric} {value:.4f}: the sweep {said}")
    if best.confirmation is not None:
        print(_confirmed(best.confirmation, best.mode))
    if best.weights.get("warning"):
        print(f"warning: {best.weights['warning']}")
    print(saved_line(summary))
    if best.costs:
        (cost,) = best.costs
        print(f"front        {len(summary['front'])} of the trials: no other is better and costs no more")
        print(f"             {best.metric:>12}  {cost:>10}")
        for member in summary["front"]:
            file = front_file(Path(experiment), member["trial"])
            print(f"             {member['value']:12.4f}  {member['cost']:10.2f}  {file}")
    print(f"experiment   {experiment}")
    if mirror is not None:
        print(f"mirror       {mirror}")
    print(f"dashboards   python -m analysis dashboard {shlex.quote(experiment)}")
    print(f"next         python -m trainables retrain {shlex.quote(f'{mirror or experiment}/best.json')}")


if __name__ == "__main__":
    sys.exit(main())
