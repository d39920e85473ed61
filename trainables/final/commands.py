"""The command `retrain`."""

import argparse
from pathlib import Path

from trainables.files.bucket import folder_or_url


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `retrain`; nothing heavy is imported before it runs."""
    parser = commands.add_parser(
        "retrain",
        help="train the best configuration to the end, oversample weak families, test once",
        description="The final stage. Writes model.keras, model_card.md, metrics.json, families.csv, predictions.csv, "
        "history.csv and pictures.",
        epilog="example: python -m trainables retrain runs/first/best.json",
    )
    parser.add_argument(
        "best",
        type=folder_or_url,
        metavar="BEST.json",
        help="what the sweep handed over, or one of its pareto/; of one at a URL, the results go there too, "
        "unless --out names a folder",
    )
    parser.add_argument(
        "--out", type=Path, help="folder to write (default: final/ beside BEST.json; of one in pareto/, final_TRIAL/)"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.3,
        help="oversample families with a validation F1 below this (default: 0.3)",
    )
    parser.add_argument("--copies", type=int, default=2, help="augmented copies of each of their photos (default: 2)")
    parser.add_argument("--patience", type=int, default=5, help="epochs without a lower validation loss (default: 5)")
    parser.add_argument("--epochs", type=int, help="the most epochs to train (default: the sweep's)")
    parser.add_argument("--views", type=int, help="augmented pictures of each photo (default: a new one every epoch)")
    parser.add_argument("--store", type=Path, help="folder for stored activations (default: the sweep's, else store/)")
    parser.add_argument(
        "--store-gb", type=float, help="the most disk they may take, in GB (default: half of what is free)"
    )
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.set_defaults(run=_retrain)


def _retrain(arguments: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from trainables.device import prepare_tensorflow
    from trainables.errors import UserError, one_line
    from trainables.files.experiment import final_folder
    from trainables.files.remote_experiment import check_free_there, handoff_here, send_final
    from trainables.handoff import read_handoff

    best, bucket = handoff_here(arguments.best)
    handoff = read_handoff(best)
    out = arguments.out or final_folder(best)
    sent_to = None if arguments.out else bucket
    if sent_to is not None:
        check_free_there(sent_to, out.name)
    prepare_tensorflow(arguments.threads)
    from trainables.final.retrain import FinalOptions, retrain

    try:
        options = FinalOptions(
            threshold=arguments.threshold,
            copies=arguments.copies,
            patience=arguments.patience,
            epochs=arguments.epochs,
            views=arguments.views,
            store=arguments.store,
            store_bytes=None if arguments.store_gb is None else int(arguments.store_gb * 1e9),
            threads=arguments.threads,
        )
    except ValidationError as error:
        raise UserError(f"--{one_line(error, FinalOptions)}") from None
    metrics = retrain(handoff, out, options, lambda line: print(line, flush=True))
    _show(metrics)
    print(f"model, tables and metrics are in {out}")
    if sent_to is not None:
        send_final(sent_to, out)
        print(f"and in {sent_to.url}/{out.name}")
    return 0


def _show(metrics: dict[str, object]) -> None:
    """Print the figures of both stages, and every warning."""
    stages = metrics["stages"]
    assert isinstance(stages, dict)
    for name, splits in stages.items():
        for split, figures in (splits or {}).items():
            print(
                f"{name:>6} oversampling, {split:<10}  accuracy {figures['accuracy']:6.1%}  "
                f"loss {figures['loss']:6.3f}  cross-entropy {figures['cross_entropy']:6.3f}  "
                f"macro F1 {figures['macro_f1']:6.1%}"
            )
    print(f"kept the model {metrics['chosen']} oversampling: {metrics['chosen_because']}")
    weights, warnings = metrics["weights"], metrics["warnings"]
    assert isinstance(weights, dict) and isinstance(warnings, list)
    for warning in (weights["warning"], metrics["alarm"], *warnings):
        if warning:
            print(f"warning: {warning}")
