"""Names and places of everything in an experiment's folder."""

from pathlib import Path

# At an experiment's top level, in the order in which a sweep writes them.
PROVENANCE_FILE = "provenance.json"
SWEEP_FILE = "sweep.yaml"
WARM_START_FILE = "warm_start.json"
PROBE_FOLDER = "probe"  # also beside a dataset, where the command `probe` writes
STUDY_FILE = "study.db"
SUMMARY_FILE = "sweep_summary.json"
BEST_FILE = "best.json"
DRIVER_ERROR_FILE = "driver_error.txt"
FRONT_FOLDER = "pareto"
TRIALS_FOLDER = "trials"
TENSORBOARD_FOLDER = "tensorboard"
RAY_FOLDER = "ray"
FINAL_FOLDER = "final"
# What analysis writes there; it can be made again.
REPORT_FOLDER, COMPARISON_FOLDER, EXPORT_FOLDER = "report", "comparison", "export"
# One driver at a time: the lock of this machine, and who holds it; what has reached the mirror.
LOCK_FILE, HOLDER_FILE, MIRROR_STATE_FILE = ".driver.lock", ".driver.json", ".mirror.json"
# At the experiment's URL only: the driver's lease, and the trials' checkpoints.
LEASE = "driver.json"
CHECKPOINTS = "checkpoints"

# In a trial's folder.
EPOCHS_FILE, TRIAL_FILE = "epochs.jsonl", "trial.json"
ERROR_FILE = "error.txt"

# In the probe's folder: what it is and how good, and the classifier itself.
PROBE_FILE, SOLUTION_FILE = "probe.json", "solution.npz"

# In the final stage's folder; METRICS_FILE is its marker, written last.
METRICS_FILE = "metrics.json"
MODEL_FILE = "model.keras"
LABELS_FILE = "labels.json"
HISTORY_FILE, PREDICTIONS_FILE, FAMILIES_FILE = "history.csv", "predictions.csv", "families.csv"
MODEL_CARD = "model_card.md"
PICTURES_FOLDER = "pictures"
CONFUSION_FILE, SAMPLES_FILE, AUGMENTATION_FILE = "confusion.png", "samples.jpg", "augmentation.jpg"
MISTAKES_FILE = "mistakes.csv"
EXAMPLES_FOLDER, EXAMPLES_FILE = "examples", "examples.csv"
EXPORTED_FOLDER = "exported"

# Where `evaluate` writes, beside tables named as the final stage's; written last.
EVALUATION_FILE = "evaluation.json"


def front_file(experiment: Path, number: int) -> Path:
    """Return where a trial of the front stands, in the form of best.json."""
    return experiment / FRONT_FOLDER / f"trial_{number:04d}.json"


def final_folder(handoff: Path) -> Path:
    """Return the final stage's folder: final/ beside best.json, or there final_trial_0007/ for one of the front."""
    alone = handoff.absolute().parent.name == FRONT_FOLDER
    return experiment_of(handoff) / (f"final_{handoff.stem}" if alone else FINAL_FOLDER)


def experiment_of(handoff: Path) -> Path:
    """Return the experiment's folder: where best.json lies, or the parent of pareto/."""
    folder = handoff.absolute().parent
    return folder.parent if folder.name == FRONT_FOLDER else folder


def checkpoint_root(experiment: Path, mirror: str | None, number: int) -> str:
    """Return the folder or URL below which all checkpoints of a trial with this number lie."""
    return str(trial_folder(experiment, number)) if mirror is None else f"{mirror}/{CHECKPOINTS}/{number:04d}"


def trial_folder(experiment: Path, number: int) -> Path:
    """Return where a trial's records lie."""
    return experiment / TRIALS_FOLDER / f"{number:04d}"


def run_folder(experiment: Path, number: int) -> Path:
    """Return where a trial's event files lie."""
    return experiment / TENSORBOARD_FOLDER / f"trial_{number:04d}"
