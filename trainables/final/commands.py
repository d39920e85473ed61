"""The command `retrain`."""

import argparse
from pathlib import Path
from typing import Any

from trainables.command_line import command, options_from
from trainables.files.bucket import folder_or_url

_RETRAIN = """\
example:
  python -m trainables retrain runs/first/best.json

The final stage. Writes model.keras, model_card.md, metrics.json, families.csv, predictions.csv, history.csv and
pictures. Where the trained model does not clearly beat the sweep's probe on validation, the probe is handed over.
"""


def add_commands(subparsers: Any) -> None:
    """Add `retrain` to what `ArgumentParser.add_subparsers` returned; it sets `run`, Namespace to exit status."""
    help_line = "train the best configuration to the end, oversample weak families, test once"
    parser = command(subparsers, "retrain", help_line, _RETRAIN, "trainables.final.options:FinalOptions")
    help_text = "what the sweep handed over, or one of its pareto/; of one at a URL, the results go there too, "
    help_text += "unless --out names a folder"
    parser.add_argument("best", metavar="BEST.json", type=folder_or_url, help=help_text)
    help_text = "folder to write (default: final/ beside BEST.json; of one in pareto/, final_TRIAL/)"
    parser.add_argument("--out", type=Path, help=help_text)
    parser.set_defaults(run=run_retrain)


def run_retrain(arguments: argparse.Namespace) -> int:
    """Run the final stage, and print the figures of both trainings and every warning."""
    # Imports stand in the functions: --help must answer at once.
    from trainables.device import prepare_tensorflow
    from trainables.files.experiment import experiment_of, final_folder
    from trainables.files.remote_experiment import check_free_there, handoff_here, send_final
    from trainables.final.options import FinalOptions
    from trainables.handoff import read_handoff

    options = options_from(arguments, FinalOptions)
    best, bucket = handoff_here(arguments.best)
    handoff = read_handoff(best)
    out = arguments.out or final_folder(best)
    sent_to = None if arguments.out else bucket
    if sent_to is not None:
        check_free_there(sent_to, out.name)
    prepare_tensorflow(options.threads)
    from trainables.final.retrain import retrain

    metrics = retrain(handoff, out, options, lambda line: print(line, flush=True), experiment_of(best))
    for line in summary(metrics):
        print(line)
    print(f"model, tables and metrics are in {out}")
    if sent_to is not None:
        send_final(sent_to, out)
        print(f"and in {sent_to.url}/{out.name}")
    return 0


_WHICH = {"before": "before oversampling", "after": "after oversampling", "refit": "last fit"}


def summary(metrics: dict[str, Any]) -> list[str]:
    """What metrics.json says, for people: the figures of both trainings, the choice, and every warning."""
    from trainables.final.held_out import sentence
    from trainables.final.outcome import join_splits

    lines = [
        f"{_WHICH.get(name, name):>19}, {split:<10}  accuracy {figures['accuracy']:6.1%}  "
        f"loss {figures['loss']:6.3f}  cross-entropy {figures['cross_entropy']:6.3f}  "
        f"macro F1 {figures['macro_f1']:6.1%}"
        for name, splits in metrics["stages"].items()
        for split, figures in (splits or {}).items()
    ]
    refit = metrics.get("refit")
    again = f", fitted again on {join_splits(refit['splits'])} photos" if refit else ""
    if metrics["chosen"] in ("probe", "ensemble"):
        lines.append(f"handed over the {metrics['chosen']}{again}: {metrics['chosen_because']}")
    else:
        model = f"the model {metrics['chosen']} oversampling" if metrics["oversampled_families"] else "the model"
        lines.append(f"kept {model}{again}: {metrics['chosen_because']}")
    if told := sentence(metrics.get("guarantee")):
        lines.append(told)
    warnings = (metrics["weights"]["warning"], metrics["alarm"], *metrics["warnings"])
    return lines + [f"warning: {warning}" for warning in warnings if warning]
