"""Model card: what the final model is, in words for those who are given it.

It has the sections of Mitchell et al., "Model Cards for Model Reporting", 2019, https://arxiv.org/abs/1810.03993, and
the head that the Hugging Face hub reads. Its words stand in model_card.md.j2, its figures are chosen here.
"""

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import jinja2

from trainables.config import Augmentation
from trainables.data.dataset import SPLITS, Manifest
from trainables.final.outcome import ENSEMBLE, PROBE, join_splits
from trainables.intervals import share
from trainables.network.backbones import from_scratch

WEAKEST = 10
FEW_TEST_PHOTOS = 5
_MARKUP = re.compile(r"[\\`*{}\[\]|<>$~&]|(?<![^\W_])_|_(?![^\W_])")
_OF_HTML = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_BREAKS = dict.fromkeys(map(ord, "\n\r\v\f\x85\u2028\u2029"), " ")
LONG_TAIL = 3  # times as many photos in the largest family as in the smallest


def _plain(value: object) -> object:
    """Return a text as Markdown shows it letter by letter, on its line: a family may be called <img …> or a | b.

    An underscore between letters is no emphasis, and names are full of them.
    """
    if not isinstance(value, str):
        return value
    return _MARKUP.sub(lambda found: _OF_HTML.get(found[0], f"\\{found[0]}"), value.translate(_BREAKS))


def model_card(title: str, metrics: dict[str, Any], manifest: Manifest, families: Sequence[dict[str, str]]) -> str:
    """The card as Markdown, from the experiment's name, the content of metrics.json and the rows of families.csv."""
    probe = metrics["probe"] if metrics["chosen"] == PROBE else None
    config, weights = (probe or metrics)["config"], metrics["weights"]
    photos = {split: sum(manifest.counts[split].values()) for split in SPLITS}
    refit = metrics.get("refit")
    stage = "refit" if metrics["stages"].get("refit") else metrics["chosen"]
    column = f"test_f1_{stage}"
    accuracy = (metrics["stages"][stage].get("test") or {}).get("accuracy", 0.0)
    counts = [sum(split.get(name, 0) for split in manifest.counts.values()) for name in manifest.class_names]
    tested = sorted(((row, float(row[column])) for row in families if row[column]), key=lambda pair: pair[1])
    trained = f"its last {config['unfrozen_layers']} layers fine-tuned, BatchNorm frozen"
    trained = trained if config["unfrozen_layers"] else "none of it trained"
    text = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=_plain,
    )
    return environment.from_string(text).render(
        title=title,
        warnings=(metrics["alarm"], metrics["weights"].get("warning"), *metrics.get("warnings", ())),
        metrics=metrics,
        probe=probe,
        members=[row for row in metrics.get("ensemble") or () if row["picks"]] if metrics["chosen"] == ENSEMBLE else [],
        kept=metrics.get("trial_chosen", metrics["chosen"]),
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
        accuracy=share(round(accuracy * photos["test"]), photos["test"]),
        stage=stage,
        refit=refit,
        again=_times_before(len(metrics.get("test_read_before", ()))),
        fitted=join_splits(refit["splits"]) if refit else "",
        fitted_photos=sum(photos[split] for split in refit["splits"]) if refit else photos["train"],
        long_tailed=max(counts) >= LONG_TAIL * min(counts),
        names={
            "before": "before oversampling" if metrics["stages"].get("after") else "the training",
            **{"after": "after oversampling", "ensemble": "the ensemble", "refit": "last fit", "probe": "the probe"},
        },
        few=sum(0 < int(family["test_photos"]) < FEW_TEST_PHOTOS for family in families),
        few_photos=FEW_TEST_PHOTOS,
    )


def _times_before(times: int) -> str:
    """How often the test photos had been read before, as it stands behind "Test was read once"."""
    return f" here, and {'once' if times == 1 else f'{times} times'} before by other stages" if times else ""
