"""The model card of the final model, from its metrics and families.

Sections as in Mitchell et al., "Model Cards for Model Reporting" (2019, https://arxiv.org/abs/1810.03993); the head is
the one that the Hugging Face hub reads. The words stand in model_card.md.j2, the figures are chosen here.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import jinja2

from trainables.config import Augmentation
from trainables.data.dataset import SPLITS, Manifest
from trainables.files.experiment import FAMILIES_FILE, MODEL_CARD
from trainables.files.output import read_rows
from trainables.network.backbones import from_scratch

WEAKEST = 10
FEW_TEST_PHOTOS = 5

Metrics = dict[str, Any]
Family = dict[str, str]


def write_model_card(study: str, metrics: Metrics, manifest: Manifest, folder: Path) -> None:
    """Write model_card.md beside families.csv.

    Args:
        study: the sweep's name.
        metrics: the content of metrics.json.
    """
    card = model_card(study, metrics, manifest, read_rows(folder / FAMILIES_FILE))
    (folder / MODEL_CARD).write_text(card, encoding="utf-8")


def model_card(study: str, metrics: Metrics, manifest: Manifest, families: Sequence[Family]) -> str:
    """The card as Markdown; `families` are the rows of families.csv."""
    from scipy.stats import binomtest

    config, weights = metrics["config"], metrics["weights"]
    photos = {split: sum(manifest.counts[split].values()) for split in SPLITS}
    accuracy = metrics["stages"][metrics["chosen"]]["test"]["accuracy"]
    column = f"test_f1_{metrics['chosen']}"
    tested = sorted(((row, float(row[column])) for row in families if row[column]), key=lambda pair: pair[1])
    trained = f"its last {config['unfrozen_layers']} layers fine-tuned, BatchNorm frozen"
    text = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(text).render(
        study=study,
        metrics=metrics,
        config=config,
        manifest=manifest,
        classes=len(manifest.class_names),
        photos=photos,
        # A file is named without its folders: the card leaves this machine.
        start=f"the file {Path(weights['detail']).name}" if weights["kind"] == "file" else f"{weights['kind']} weights",
        trained="all of it trained" if from_scratch(config["backbone"]) else trained,
        augmentation=Augmentation.model_validate(config["augmentation"]).words(),
        today=date.today().isoformat(),
        train_photos=[int(family["train_photos"]) for family in families],
        scores=[score for _, score in tested],
        weakest=tested[:WEAKEST],
        accuracy=accuracy,
        interval=binomtest(round(accuracy * photos["test"]), photos["test"]).proportion_ci(method="wilson"),
        few=sum(0 < int(family["test_photos"]) < FEW_TEST_PHOTOS for family in families),
        few_photos=FEW_TEST_PHOTOS,
    )
