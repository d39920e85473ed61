"""The final stage: train the best configuration, oversample weak families, test once.

Follows the reference study's last steps; the test split is read once, after the splits were proved disjoint.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainables.config import TrialConfig, Validation
from trainables.data.dataset import open_dataset_at
from trainables.data.folds import PARTED, partings_of
from trainables.data.leaks import LeakProof, prove_disjoint
from trainables.data.ledger import record_reading
from trainables.device import device_name, usable_cores
from trainables.errors import UserError, message_of
from trainables.files.experiment import (
    CONFUSION_FILE,
    EXAMPLES_FOLDER,
    FAMILIES_FILE,
    METRICS_FILE,
    MODEL_CARD,
    PICTURES_FOLDER,
    TENSORBOARD_FOLDER,
)
from trainables.files.output import check_free, check_room, read_rows, whole_or_elsewhere, write_json
from trainables.final import lettering
from trainables.final.ensemble import States, evaluate_together
from trainables.final.model_card import model_card
from trainables.final.options import FinalOptions
from trainables.final.outcome import ENSEMBLE, PROBE, REFIT, Outcome, write_tables
from trainables.final.pictures import draw_confusion, write_examples, write_final_board, write_mistakes, write_pictures
from trainables.final.probe import evaluate, open_probe
from trainables.final.trainings import Say, fit_again, train_ensemble, train_twice
from trainables.handoff import Handoff
from trainables.inference.ensemble_model import ensemble_model, member_of
from trainables.inference.keras_model import save_model, whole_model
from trainables.network.backbones import cut_backbone
from trainables.network.cost import MODEL_MB
from trainables.network.cut import PIXELS
from trainables.probe.head_start import find_start
from trainables.probe.probe import probe_model
from trainables.probe.solution import Solution
from trainables.training.fine_tune import Evaluation
from trainables.training.worker import Worker

_MODELS = {
    "before": "the model before oversampling",
    "after": "the model after oversampling",
    ENSEMBLE: "the ensemble",
    PROBE: "the probe",
}
# Between a probability of the whole model and the trained network's; GPUs multiply in TF32, otherwise for each batch.
MOST_DIFFERENCE, MOST_ON_GPU = 1e-3, 2e-2
_PICTURES = 20_000_000  # bytes


def retrain(
    handoff: Handoff, out: Path, options: FinalOptions, say: Say, experiment: Path | None = None
) -> dict[str, Any]:
    """Run the final stage and write its folder; `say` gets a line per step.

    Args:
        experiment: the sweep's folder, for its probe/; None is the folder that `out` lies in.

    Returns:
        The content of metrics.json.

    Raises:
        UserError: the dataset is gone, changed or leaks; the weights are not the sweep's; `out` holds something; the
            probe is asked for and there is none.
    """
    started = time.monotonic()
    check_free(out)
    worker, config, proof = _prepare(handoff, out, options)
    # The model twice, while its labels go into it, and each member's layers; pictures and tables are small.
    check_room(out, 2 * options.ensemble * int(1e6 * worker.cost(MODEL_MB, config)) + _PICTURES)
    say("the splits are disjoint by photo id, content and group")
    given = config
    worker.fill(PARTED, config, [config.unfrozen_layers])  # The probe's pass and the training's, in one.
    config, start = find_start(worker, given)
    _check_shared(worker, config, options)
    probe = open_probe(handoff, experiment or out.parent, worker, say)
    if probe is None and options.hand_over == PROBE:
        raise UserError("--hand-over probe: there is no probe that could be handed over; leave the option out")
    stages, weak = train_twice(worker, config, start, options, say)
    outcome = Outcome(stages, {}, weak, probe, options.hand_over)
    if options.ensemble > 1:
        outcome = replace(outcome, ensemble=train_ensemble(worker, given, outcome, options, say))
        say(outcome.trained[1])
    outcome = outcome.with_margin(worker.dataset)
    if probe is not None:
        say(f"{outcome.verdict}: handing over {_MODELS[outcome.handed_over[0]]}")
    outcome = replace(outcome, last_fit=fit_again(worker, outcome, options, say))
    say("reading test now, once" if worker.dataset.tested else "there are no test photos: only validation tells")
    if worker.dataset.tested:
        whose = str((experiment or out.parent).absolute())
        outcome = replace(outcome, read_before=record_reading(worker.dataset, whose, "final stage", say))
    solutions = _solutions(worker, outcome)
    outcome = replace(outcome, test=_test(worker, config, outcome, solutions))
    metrics = outcome.metrics(handoff, config, options, worker.dataset, proof) | outcome.kept(worker.dataset)
    handed_over: list[_HandedOver] = []

    def write(folder: Path) -> None:
        handed_over.append(_write_model(worker, config, outcome, solutions, folder))
        metrics["weights"] = asdict(worker.weights(handed_over[0].config))
        metrics["seconds"] = round(time.monotonic() - started, 1)
        title, rows = (experiment or out.absolute().parent).name, read_rows(folder / FAMILIES_FILE)
        card = model_card(title, metrics, worker.dataset.manifest, rows)
        (folder / MODEL_CARD).write_text(card, encoding="utf-8")
        write_json(metrics, folder / METRICS_FILE)

    whole_or_elsewhere(out, write)
    _draw(worker, config, outcome, solutions, handed_over[0], out, say)
    return metrics


def _prepare(handoff: Handoff, out: Path, options: FinalOptions) -> tuple[Worker, TrialConfig, LeakProof]:
    """Open the sweep's dataset and weights, and prove that no photo is in two splits."""
    store = options.store or out.parent.parent / "store"  # Where the sweep's own lies, next to the experiment.
    dataset = open_dataset_at(handoff.dataset, store)
    if dataset.fingerprint != handoff.dataset_fingerprint:
        raise UserError(
            f"{handoff.dataset} is not the dataset of the sweep: its fingerprint is {dataset.fingerprint[:12]}…, "
            f"the sweep's {handoff.dataset_fingerprint[:12]}…"
        )
    epochs = options.epochs or handoff.config.epochs
    changes = {
        "epochs": epochs,
        "augment_views": options.views or epochs,
        "patience": epochs,  # The final stage has its own rule, on the validation loss.
        # What is tested and exported is a float32 network, however the search computed.
        "precision": "float32",
        "store_dtype": "float32",
        "validation": Validation(),
    }
    config = handoff.config.model_copy(update=changes)
    store_bytes = None if options.store_gb is None else int(options.store_gb * 1e9)
    worker = Worker(dataset, store, store_bytes, options.threads or usable_cores())
    weights, expected = worker.weights(config), handoff.weights.get("fingerprint")
    if expected not in (None, weights.fingerprint):
        raise UserError(
            f"weights: the sweep used {handoff.weights['kind']}, here {config.weights!r} means {weights.kind}"
        )
    trial = handoff.config
    proof = prove_disjoint(dataset, partings_of(dataset, trial.validation, trial.sweep_seed, trial.seed))
    if not proof.passed:
        more = f" (and {len(proof.leaks) - 1} more)" if len(proof.leaks) > 1 else ""
        raise UserError(
            f"the splits of {dataset.url or dataset.folder} are not disjoint: {proof.leaks[0]}{more}; prepare it again"
        )
    return worker, config, proof


def _check_shared(worker: Worker, config: TrialConfig, options: FinalOptions) -> None:
    """Refuse an ensemble of which nothing could be computed once."""
    if options.ensemble > 1 and cut_backbone(worker.base(config), config, config.unfrozen_layers).name == PIXELS:
        raise UserError(
            f"--ensemble {options.ensemble}: its members share what is frozen, and this trial trains all of "
            f"{config.backbone}; leave the option out"
        )


class _Solutions(NamedTuple):
    """The probe's classifiers: the one that test judges, and the one that is handed over where the probe is."""

    tested: Solution
    handed_over: Solution


def _solutions(worker: Worker, outcome: Outcome) -> _Solutions | None:
    """None without a probe; where it is not handed over, both are the one fitted on training photos."""
    if outcome.probe is None:
        return None
    splits = outcome.last_fit.splits if outcome.last_fit and outcome.handed_over[0] == PROBE else ("train",)
    unseen = tuple(split for split in splits if split != "test")
    tested = outcome.probe.fitted(worker, unseen)
    return _Solutions(tested, tested if unseen == splits else outcome.probe.fitted(worker, splits))


def _test(worker: Worker, config: TrialConfig, outcome: Outcome, solutions: _Solutions | None) -> dict[str, Evaluation]:
    """Every model's figures on test, by its name; of the last fit where it has not seen the photos."""
    if not worker.dataset.tested:
        return {}
    worker.fill(["test"], config, [config.unfrozen_layers])
    photos, run, again = worker.part("test", config), outcome.stages[0].run, outcome.last_fit
    states: dict[str, States] = {stage.name: [(stage.state, 1.0)] for stage in outcome.stages}
    if outcome.ensemble is not None:
        states[ENSEMBLE] = [(stage.state, share) for stage, share in outcome.ensemble.taken]
    if again is not None and again.states and again.tested:
        states[REFIT] = _states(outcome, last=True)
    test = {name: evaluate_together(run, photos, each) for name, each in states.items()}
    if outcome.probe is not None and solutions is not None:
        test[PROBE] = evaluate(worker, outcome.probe.config, solutions.tested, "test")
    return test


class _Model(NamedTuple):
    """The Keras model, how its photos are read, and what it must answer on validation."""

    model: Any
    config: TrialConfig
    validation: Evaluation


class _HandedOver(NamedTuple):
    """The handed-over Keras model, and how its photos are read."""

    model: Any
    config: TrialConfig


def _model(worker: Worker, config: TrialConfig, outcome: Outcome, solution: Solution | None, *, last: bool) -> _Model:
    """The chosen model as one Keras model; `last`: after the last fit, if there was one."""
    if outcome.handed_over[0] == PROBE and outcome.probe is not None and solution is not None:
        own = outcome.probe.config
        return _Model(probe_model(worker, own, solution), own, evaluate(worker, own, solution, "validation"))
    run, states, base = outcome.stages[0].run, _states(outcome, last=last), worker.base(config)
    expected = outcome.evaluations[outcome.handed_over[0]]["validation"]
    if last and outcome.last_fit is not None:
        expected = evaluate_together(run, worker.part("validation", config), states)
    members = []
    for state, share in states:
        run.tail.load(state)
        members.append(member_of(run.tail, share))
    if len(members) == 1:
        return _Model(whole_model(base, run.tail, config), config, expected)
    return _Model(ensemble_model(base, run.tail.body.cut, config, members), config, expected)


def _states(outcome: Outcome, *, last: bool) -> States:
    """The weights of each training in the handed-over model; `last`: after the last fit, if there was one."""
    pairs = outcome.handed_over_stages
    if last and outcome.last_fit is not None:
        return [(state, share) for state, (_, share) in zip(outcome.last_fit.states, pairs, strict=True)]
    return [(stage.state, share) for stage, share in pairs]


def _write_model(
    worker: Worker, config: TrialConfig, outcome: Outcome, solutions: _Solutions | None, folder: Path
) -> _HandedOver:
    """Write the handed-over model and the tables; return it and its configuration."""
    model, used, expected = _model(worker, config, outcome, solutions and solutions.handed_over, last=True)
    validation = worker.photos("validation", used.image_size)
    some = np.arange(min(8, len(validation)))
    difference = np.abs(model.predict(validation.read(some), verbose=0) - expected.probabilities[some]).max()
    if difference > (MOST_DIFFERENCE if device_name() == "CPU" else MOST_ON_GPU):
        raise RuntimeError(f"the exported model's probabilities differ from the trained network's by {difference:.2g}")
    guarantee = outcome.guarantee(worker.dataset)
    save_model(model, worker.dataset.class_names, used, folder, guarantee, worker.dataset.manifest.taxonomy)
    write_tables(outcome, worker.dataset, folder)
    return _HandedOver(model, used)


def _draw(
    worker: Worker,
    config: TrialConfig,
    outcome: Outcome,
    solutions: _Solutions | None,
    handed_over: _HandedOver,
    out: Path,
    say: Say,
) -> None:
    """Draw the pictures into the finished folder, each by itself: what cannot be drawn costs no model."""
    names, pictures, board = worker.dataset.class_names, out / PICTURES_FOLDER, out.parent / TENSORBOARD_FOLDER
    if (line := lettering.warning(names)) is not None:
        say(f"warning: {line}")

    def of_test() -> None:
        shown = handed_over.model
        if outcome.last_fit is not None and not outcome.last_fit.tested:  # What is shown is what was tested.
            shown = _model(worker, config, outcome, solutions and solutions.tested, last=False).model
        train, test = (worker.photos(split, handed_over.config.image_size) for split in ("train", "test"))
        guarantee = outcome.guarantee(worker.dataset)
        probabilities = guarantee.probabilities(outcome.test[outcome.tested].logits).astype(np.float32)
        draw_confusion(test.labels, probabilities.argmax(axis=1), names, pictures / CONFUSION_FILE)
        write_examples(test, train, names, probabilities, pictures / EXAMPLES_FOLDER)
        write_mistakes(shown, test, probabilities, worker.dataset, pictures)

    def of_training() -> None:
        write_pictures(worker.photos("train", config.image_size), worker.dataset, config, pictures)

    drawn: dict[str, Callable[[], None]] = {"pictures of training photos": of_training}
    if outcome.test:
        drawn["pictures of test"] = of_test
    if board.is_dir():  # Beside the sweep, its trials' runs.
        drawn["pictures in TensorBoard"] = lambda: write_final_board(out, board / out.name)
    for what, draw in drawn.items():
        try:
            pictures.mkdir(exist_ok=True)
            draw()
        except Exception as error:
            say(f"warning: {what} could not be drawn: {message_of(error)}; the model in {out} is whole")
