"""The model card: what the final model is, what it was made from, how good it is, and what it must not be used for.

Sections as in Mitchell et al., "Model Cards for Model Reporting" (2019, https://arxiv.org/abs/1810.03993); the head is
the one that the Hugging Face hub reads. Everything in it comes from metrics.json, families.csv and the dataset.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

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
        study: what the sweep was called.
        metrics: what metrics.json holds.
    """
    families = read_rows(folder / FAMILIES_FILE)
    (folder / MODEL_CARD).write_text(model_card(study, metrics, manifest, families), encoding="utf-8")


def model_card(study: str, metrics: Metrics, manifest: Manifest, families: Sequence[Family]) -> str:
    """The card as Markdown; `families` are the rows of families.csv."""
    sections = {
        "Model details": _details(metrics, manifest),
        "Intended use": _intended_use(manifest),
        "Factors": _factors(metrics, families),
        "Metrics": _measures(metrics),
        "Evaluation data": _evaluation_data(metrics, manifest),
        "Training data": _training_data(metrics, manifest),
        "Quantitative analyses": _analyses(metrics, families),
        "Ethical considerations": _ethics(),
        "Caveats and recommendations": _caveats(metrics, manifest, families),
    }
    warnings = [f"> **Warning:** {text}.\n" for text in (metrics["alarm"], metrics["weights"].get("warning")) if text]
    head = ["---", "library_name: keras", "pipeline_tag: image-classification", "tags: [raretune, long-tailed]", "---"]
    body = [f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections.items()]
    return "\n".join([*head, f"# Model card: {study}\n", *warnings, *body])


def _details(metrics: Metrics, manifest: Manifest) -> Iterator[str]:
    config, weights, versions = metrics["config"], metrics["weights"], metrics["versions"]
    size, classes = config["image_size"], len(manifest.class_names)
    # A file is named without its folders: the card leaves this machine.
    start = f"the file {Path(weights['detail']).name}" if weights["kind"] == "file" else f"{weights['kind']} weights"
    trained = f"its last {config['unfrozen_layers']} layers fine-tuned, BatchNorm frozen"
    if from_scratch(config["backbone"]):
        trained = "all of it trained"
    yield f"- **What it is:** {config['backbone']} without top, started from {start}, {trained};"
    yield f"  then global average pooling, dropout {config['dropout']:.2g}, {config['dense_units']} dense units,"
    yield "  dropout, softmax."
    yield f"- **Takes** RGB pixels 0–255, [n, {size}, {size}, 3]: the whole photo, squeezed to a square, bilinear."
    yield "  Scaling is inside the model."
    yield f"- **Gives** probabilities of {classes} families. Their names are inside model.keras and in labels.json."
    yield f"- **Made on** {date.today().isoformat()} with Raretune (commit {metrics['git_commit'] or 'unknown'}), Keras"
    yield f"  {versions.get('keras')}, TensorFlow {versions.get('tensorflow')}, Python {versions.get('python')}."
    yield f"- **Configuration:** the best of a search by {metrics['sweep_metric']}; all of it is in metrics.json."
    yield f"- **Kept** is the training {metrics['chosen']} oversampling: {metrics['chosen_because']}."
    yield "- **Licence and contact:** not recorded by Raretune; fill them in before you pass the model on."


def _intended_use(manifest: Manifest) -> Iterator[str]:
    yield f"To suggest which of its {len(manifest.class_names)} families a photo shows, to a person who can check it."
    yield ""
    yield "Not for: photos of anything else (it always answers with one of its families, and can be sure of it), photos"
    yield "with several animals, counting, or decisions on safety, law or conservation that no expert has looked at."


def _factors(metrics: Metrics, families: Sequence[Family]) -> Iterator[str]:
    photos = [int(family["train_photos"]) for family in families]
    yield f"Families differ most: they had {min(photos)} to {max(photos)} training photos each."
    tested = _tested(metrics, families)
    if tested:
        scores = sorted(score for _, score in tested)
        middle = scores[len(scores) // 2]
        yield f"Test F1 runs from {scores[0]:.0%} to {scores[-1]:.0%} over the families, {middle:.0%} in the middle."
    yield "Camera, light, place, season, age and sex of the animals are not recorded, so nothing is known of them."


def _measures(metrics: Metrics) -> Iterator[str]:
    yield "- **macro F1:** the mean F1 over the families with photos in the split, each counting the same."
    yield "- **accuracy:** the share of photos named right; numerous families count more."
    yield "- **cross-entropy:** in nats, without L2 and class weights."
    yield ""
    yield "Configuration, epoch and the training that was kept were chosen by validation; test was read once, at the"
    yield "end."
    yield f"Families below {metrics['threshold']:.0%} validation F1 were oversampled."


def _evaluation_data(metrics: Metrics, manifest: Manifest) -> Iterator[str]:
    validation, test = (sum(manifest.counts[split].values()) for split in ("validation", "test"))
    yield f"{validation} validation and {test} test photos of the same collection as the training photos."
    kept = " and ".join(name for name in manifest.grouping if name != "none")
    yield f"Kept on one side of the split: {kept or 'nothing but equal files'}."
    proof = "proved" if metrics["leaks"]["passed"] else "NOT proved"
    yield f"The splits were {proof} disjoint by photo id, content and group before training."


def _training_data(metrics: Metrics, manifest: Manifest) -> Iterator[str]:
    config = metrics["config"]
    counts = {split: sum(manifest.counts[split].values()) for split in SPLITS}
    yield f"{counts['train']} photos of {len(manifest.class_names)} families ({manifest.layout}), fingerprint"
    yield f"`{manifest.fingerprint[:16]}`; {sum(manifest.excluded.values())} files were left out beforehand."
    balanced = "not balanced" if config["imbalance"] == "none" else f"balanced by {config['imbalance']}"
    yield f"Augmented by {_augmentation(config['augmentation'])}; loss {balanced}."
    oversampled = metrics["oversampled_families"]
    if oversampled:
        families = "1 family" if len(oversampled) == 1 else f"{len(oversampled)} families"
        yield f"{metrics['copies']} augmented copies of each training photo of {families} were added"
        yield f"in the second training: {', '.join(oversampled)}."


def _augmentation(ranges: dict[str, Any]) -> str:
    flips = [name.replace("_", " ") for name in ("horizontal_flip", "vertical_flip") if ranges[name]]
    amounts = [f"{name} to {ranges[name]:.0%}" for name in ("zoom", "brightness", "contrast") if ranges[name]]
    turned = [f"rotation to {ranges['rotation']:.0f}°"] if ranges["rotation"] else []
    return ", ".join([*flips, *turned, *amounts]) or "nothing"


def _analyses(metrics: Metrics, families: Sequence[Family]) -> Iterator[str]:
    yield "| training | split | accuracy | macro F1 | cross-entropy |"
    yield "|---|---|---|---|---|"
    for stage, splits in metrics["stages"].items():
        for split, figures in (splits or {}).items():
            kept = " (kept)" if stage == metrics["chosen"] else ""
            shown = f"{figures['accuracy']:.1%} | {figures['macro_f1']:.1%} | {figures['cross_entropy']:.3f}"
            yield f"| {stage} oversampling{kept} | {split} | {shown} |"
    weakest = sorted(_tested(metrics, families), key=lambda pair: pair[1])[:WEAKEST]
    yield ""
    yield f"The {len(weakest)} families with the lowest test F1:"
    yield ""
    yield "| family | training photos | test photos | test F1 |"
    yield "|---|---|---|---|"
    for family, score in weakest:
        yield f"| {family['family']} | {family['train_photos']} | {family['test_photos']} | {score:.0%} |"


def _ethics() -> Iterator[str]:
    yield "Photos that show where rare animals live can harm them; this model is given no places, but backgrounds speak"
    yield "of them. Rights in the photos stay with their owners; Raretune records no licences. A name that is given"
    yield "with confidence is believed: show its probability, and let a person decide."


def _caveats(metrics: Metrics, manifest: Manifest, families: Sequence[Family]) -> Iterator[str]:
    test = sum(manifest.counts["test"].values())
    accuracy = metrics["stages"][metrics["chosen"]]["test"]["accuracy"]
    from scipy.stats import binomtest

    low, high = binomtest(round(accuracy * test), test).proportion_ci(method="wilson")
    yield f"- With {test} test photos, accuracy {accuracy:.1%} means {low:.1%} to {high:.1%} (95 %, Wilson)."
    few = sum(0 < int(family["test_photos"]) < FEW_TEST_PHOTOS for family in families)
    if few:
        yield f"- Families with fewer than {FEW_TEST_PHOTOS} test photos: {few}; their own F1 says little."
    if manifest.train_only_families:
        yield f"- Never tested, for want of photos: {', '.join(manifest.train_only_families)}."
    searched = f"{metrics['sweep_metric']} {metrics['sweep_score']:.3f}"
    yield f"- In the search this configuration reached {searched}, the best of many tries on the same validation"
    yield "  photos, and so a little flattered. Test was used for no choice."
    yield "- Test photos come from the same sources as training photos: expect less on other cameras and places."
    yield "- Probabilities are not calibrated: among answers given as 90 % sure, fewer or more than 90 % may be right."
    yield "- pictures/mistakes.csv lists the most confident mistakes, with what in each photo spoke for them."


def _tested(metrics: Metrics, families: Sequence[Family]) -> list[tuple[Family, float]]:
    """Families with test photos, and the kept model's F1 on them."""
    column = f"test_f1_{metrics['chosen']}"
    return [(family, float(family[column])) for family in families if family[column]]
