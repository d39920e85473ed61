"""The command `probe`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from trainables.command_line import command, options_from
from trainables.files.bucket import folder_or_url, is_url
from trainables.files.experiment import PROBE_FOLDER

_PROBE = """\
examples:
  python -m trainables probe runs/dataset
  python -m trainables probe runs/dataset --weights inception_v3_notop.weights.h5 --image-size 139 --out runs/probe-139

Fits linear classifiers on the frozen backbone's pooled features at the ends of its blocks, and chooses depths,
classifier and strength by validation macro F1. Writes model.keras, labels.json, predictions.csv, families.csv and
metrics.json; the model is fitted again on train and validation, and tested once.
"""


def add_commands(subparsers: Any) -> None:
    """Add `probe` to what `ArgumentParser.add_subparsers` returned; it sets `run`, Namespace to exit status."""
    help_line = "fit a linear classifier on frozen features: a model in minutes, and what a sweep has to beat"
    parser = command(subparsers, "probe", help_line, _PROBE, "trainables.probe.options:ProbeOptions")
    parser.add_argument("dataset", metavar="DATASET", type=folder_or_url, help="folder or URL that `prepare` wrote")
    parser.add_argument("--out", type=Path, help="new or empty folder to write (default: probe/ beside DATASET)")
    parser.set_defaults(run=run_probe)


def run_probe(arguments: argparse.Namespace) -> int:
    """Run the probe, and print its figures."""
    # Imports stand in the functions: --help must answer at once.
    from trainables.device import prepare_tensorflow
    from trainables.files.output import check_free
    from trainables.files.remote_experiment import RUNS
    from trainables.probe.options import ProbeOptions

    options = options_from(arguments, ProbeOptions)
    beside = RUNS if is_url(arguments.dataset) else Path(arguments.dataset).absolute().parent
    out = (arguments.out or beside / PROBE_FOLDER).absolute()
    check_free(out)
    prepare_tensorflow(options.threads)
    from trainables.final.held_out import sentence
    from trainables.probe.stage import run

    metrics = run(arguments.dataset, out, options, lambda line: print(line, flush=True), _warn)
    figures = metrics["stages"]["probe"]
    said = [f"validation macro F1 {figures['validation']['macro_f1']:.1%} (fitted on train)"]
    if test := figures.get("test"):
        of = "(fitted on train and validation)"
        said.append(f"test macro F1 {test['macro_f1']:.1%}, accuracy {test['accuracy']:.1%} {of}")
    print(f"{', '.join(said)}, in {metrics['seconds']:.0f} s")
    if told := sentence(metrics["guarantee"]):
        print(told)
    print(f"model, tables and metrics are in {out}")
    return 0


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr, flush=True)
